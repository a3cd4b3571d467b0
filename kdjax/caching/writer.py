"""Writes a cache epoch by epoch: whole, or not at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kdjax.caching.layout import CHECKSUMS, Layout, epoch_directory, header
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError
from kdjax.paths import is_url
from kdjax.paths.files import scratch, sync, sync_tree, upload
from kdjax.reporting.files import in_bytes


def check_room(
    directory: pathlib.Path, layout: Layout, epochs: int, to_write: int
) -> str:
    """A sentence on how large a cache is, and how much of it is still to be written.

    StorageError where the disk has less room than that.
    """
    each, where, here = layout.bytes_per_epoch(), directory, to_write
    if is_url(directory):  # an epoch lies here until it is sent
        where, here = pathlib.Path(tempfile.gettempdir()), min(to_write, 1)
    free = shutil.disk_usage(where).free
    if here * each > free:
        raise StorageError(
            f"--workdir: {where} has {in_bytes(free)} free and the cache still needs "
            f"{in_bytes(here * each)} there; expected more room, fewer --epochs, "
            "float16 or a smaller --top_k."
        )
    largest = f"the {layout.top_k} largest of " if layout.top_k else ""
    return (
        f"cache: {epochs} epochs of {layout.examples:,} samples, {largest}"
        f"{layout.classes} logits in {layout.dtype}: {in_bytes(epochs * each)}; "
        f"{epochs - to_write} epochs are there, {in_bytes(to_write * each)} to write, "
        f"{in_bytes(free)} free in {where}"
    )


def write_epoch(
    directory: pathlib.Path,
    epoch: int,
    layout: Layout,
    blocks: Iterable[dict[str, np.ndarray]],
    check: Callable[[int], None] = lambda rows: None,
) -> None:
    """Writes one epoch beside its place, then moves it there.

    `blocks` are rows of `codec.encode` in the order of the samples; `check` is called
    with the number of rows after each, and what it raises stops the writing. InputError
    where a number is not finite, or too large for the layout's type.
    """
    try:
        with _moved(epoch_directory(directory, epoch)) as part:
            _write(part, epoch, layout, blocks, check)
    except OSError as error:
        raise StorageError(
            f"cache: could not write epoch {epoch} of {directory}: {error}. Epochs "
            "written before are still good; look at the free space and the permissions."
        ) from error


@contextlib.contextmanager
def _moved(final: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a local directory, which becomes `final` afterwards, or is deleted."""
    if is_url(final):
        with scratch() as part:
            yield part
            upload(part, final, last=CHECKSUMS)
        return
    part = final.with_name(f"{final.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        yield part
        sync_tree(part)
        if final.is_dir() and not (final / CHECKSUMS).exists():
            shutil.rmtree(final)  # half of a copy, say: it counts as missing
        os.rename(part, final)
        sync(final.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(part: pathlib.Path, epoch: int, layout: Layout, blocks, check) -> None:
    arrays, files, written = layout.arrays(), {}, 0
    digests = {name: hashlib.sha256() for name in arrays}

    def append(name: str, data) -> None:
        files[name].write(data)
        digests[name].update(data)

    with contextlib.ExitStack() as stack:
        for name, (shape, dtype) in arrays.items():
            files[name] = stack.enter_context((part / f"{name}.npy").open("wb"))
            append(name, header((layout.examples, *shape), dtype))
        for block in blocks:
            for name, (_, dtype) in arrays.items():
                rows = rounded(name, block[name], dtype, epoch, written)
                append(name, np.ascontiguousarray(rows).data.cast("B"))
            written += len(block["logits"])
            check(len(block["logits"]))
        if written != layout.examples:
            text = f"write_epoch: {written} rows came; expected {layout.examples}."
            raise ValueError(text)
    checksums = {f"{name}.npy": sha.hexdigest() for name, sha in digests.items()}
    (part / CHECKSUMS).write_text(json.dumps(checksums, indent=2) + "\n")


def rounded(
    name: str, rows: np.ndarray, dtype: np.dtype, epoch: int, first: int
) -> np.ndarray:
    """Rows [b, ...] of the samples from `first` on, in the type that is stored."""
    if dtype.kind != "f":
        return rows.astype(dtype)
    with np.errstate(over="ignore"):
        stored = rows.astype(dtype)
    bad = np.argwhere(~np.isfinite(stored))
    if not len(bad):
        return stored
    sample, *place = (int(i) for i in bad[0])
    value = rows[tuple(bad[0])]
    where = f"cache: epoch {epoch}, sample {first + sample}: {name}{place or ''}"
    if not np.isfinite(value):
        raise InputError(f"{where} of the teacher is {value}; expected finite numbers.")
    raise InputError(
        f"{where} of the teacher is {value:g}, and {dtype} ends at "
        f"{np.finfo(dtype).max:g}; expected --dtype=float32."
    )
