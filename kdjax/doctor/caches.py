"""A cache of a teacher's outputs: manifest, epochs, checksums, and its teacher."""

import pathlib

from kdjax.caching import manifest
from kdjax.caching.layout import Layout, epoch_directory, header, missing
from kdjax.caching.reader import Reader
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError
from kdjax.doctor.findings import Findings, guarded, note, ok, problem
from kdjax.doctor.holder import examine_holder
from kdjax.doctor.sources import examine_versions, network_digest
from kdjax.paths.files import size

WRITE_AGAIN = (
    "Delete the epoch's directory and run `python -m kdjax cache` again; it writes "
    "what is missing."
)
BEGIN_AGAIN = "Delete the directory and run `python -m kdjax cache` again."


def examine_cache(directory: pathlib.Path, quick: bool) -> Findings:
    yield from guarded(directory, BEGIN_AGAIN, examine_holder, directory)
    path = directory / manifest.MANIFEST
    record = yield from guarded(path, BEGIN_AGAIN, _manifest, directory)
    if record is None:
        return
    yield from guarded(directory, WRITE_AGAIN, _epochs, directory, record, quick)
    made_by = record.get("made_by", {})
    yield from examine_versions(directory, made_by.get("versions", {}))
    teacher = made_by.get("teacher", {})
    if "workdir" in teacher and not quick:
        yield from guarded(directory, BEGIN_AGAIN, _teacher, directory, record, teacher)


def _manifest(directory: pathlib.Path) -> Findings:
    record = manifest.read(directory, "cache")
    layout = Layout.from_json(record)
    if layout.examples < 1 or record["epochs"] < 1:
        raise InputError(
            f"holds {record['epochs']} epochs of {layout.examples} samples"
        )
    layout.arrays()
    yield ok(
        directory / manifest.MANIFEST,
        f"{record['epochs']} epochs of {layout.examples:,} samples in {layout.dtype}",
    )
    return record


def _epochs(directory: pathlib.Path, record: dict, quick: bool) -> Findings:
    layout, reader = Layout.from_json(record), Reader(directory, record)
    absent, sound = missing(directory, record["epochs"]), 0
    for epoch in sorted(set(range(record["epochs"])) - set(absent)):
        try:
            _check_sizes(epoch_directory(directory, epoch), layout)
            if not quick:
                reader.check(epoch)
        except (StorageError, InputError) as error:
            where = epoch_directory(directory, epoch)
            yield problem(where, str(error), WRITE_AGAIN)
            continue
        sound += 1
    if absent:
        text = f"lacks {len(absent)} of {record['epochs']} epochs, first {absent[0]}"
        advice = "Run `python -m kdjax cache` again; it writes what is missing."
        yield problem(directory, text, advice)
    for part in sorted(directory.glob("*.part"), key=str):
        text = "is of an epoch that is being written, or was not finished"
        yield note(part, text, "Nothing: the same command writes it anew.")
    how = "have files of the right size" if quick else "are as they were written"
    yield ok(directory, f"{sound} epochs {how}")


def _check_sizes(where: pathlib.Path, layout: Layout) -> None:
    """What is cut is refused before all of it is read."""
    for name, (shape, dtype) in layout.arrays().items():
        whole, path = (layout.examples, *shape), where / f"{name}.npy"
        if not path.exists():
            raise InputError(f"{path.name} is missing")
        count = dtype.itemsize
        for length in whole:
            count *= length
        count += len(header(whole, dtype))
        if size(path) != count:
            raise InputError(f"{path.name} has {size(path)} bytes; expected {count}")


def _teacher(directory: pathlib.Path, record: dict, teacher: dict) -> Findings:
    path = f"{teacher['workdir']} at step {teacher['step']}"
    try:
        digest = network_digest(teacher)
    except (InputError, StorageError, OSError) as error:
        text = f"its teacher, {path}, cannot be read: {error}"
        yield note(directory, text, "Students need it too, for the test images.")
        return
    if digest == record["teacher"]:
        yield ok(directory, f"its teacher, {path}, is still the same")
    else:
        yield problem(directory, f"its teacher, {path}, has other weights", BEGIN_AGAIN)
