"""What a cache is to hold: from the options, the config and what is there already."""

import argparse
import pathlib
import shutil
from typing import NamedTuple

from kdjax.caching import manifest
from kdjax.caching.layout import Layout
from kdjax.caching.teacher_runner import layout_of
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.build import plan_of, versions
from kdjax.experiment.cache import epochs_of, origin_of
from kdjax.experiment.data import Data
from kdjax.experiment.pretrained import Teacher
from kdjax.runner import workdir

FULL_UP_TO = 200  # classes; above it only the TOP_K largest logits are stored
TOP_K = 50


class CacheRequest(NamedTuple):
    """What the command was given."""

    options: argparse.Namespace
    config: dict
    images: Data
    teacher: Teacher
    directory: pathlib.Path


def make_manifest(request: CacheRequest) -> dict:
    """What the cache is to be; what is not asked for is as it is there.

    Raises:
      InputError: the directory holds other answers, or something else.
    """
    there = manifest.read(request.directory, "--workdir")
    if there is None:
        _check_empty(request)
    seed = schema.number(request.config, "seed", 0, integer=True)
    batch_size = schema.number(request.config, "batch_size", 1, integer=True)
    wanted = origin_of(request.teacher, request.images, seed, batch_size)
    _check_same(request.directory, there, wanted)
    wanted |= _layout(request, there).as_json()
    _check_same(request.directory, there, wanted)
    if request.options.verify:
        return there
    epochs = request.options.epochs or _epochs(request)
    if there is not None:
        return there | {"epochs": max(epochs, there["epochs"])}
    made_by = {"teacher": request.teacher.identity, "versions": versions()}
    return wanted | {"epochs": epochs, "made_by": made_by}


def _layout(request: CacheRequest, there: dict | None) -> Layout:
    """dtype, top_k and features: as asked for, as it is there, or the default."""
    options, images = request.options, request.images
    found = {
        "dtype": "float16",
        "top_k": TOP_K if len(images.train.class_names) > FULL_UP_TO else 0,
        "features": (),
    }
    if there is not None:
        found = {key: there[key] for key in found}
    given = {"dtype": options.dtype, "top_k": options.top_k}
    given["features"] = (options.features,) if options.features else None
    found |= {key: value for key, value in given.items() if value is not None}
    found["features"] = tuple(found["features"])
    teacher = request.teacher
    return layout_of(teacher.network, teacher.variables, images.train, **found)


def _epochs(request: CacheRequest) -> int:
    examples = len(request.images.train.label)
    batch_size = schema.number(request.config, "batch_size", 1, integer=True)
    total_steps = plan_of(request.config, examples / batch_size).total_steps
    return epochs_of(total_steps, batch_size, examples)


def _check_same(directory: pathlib.Path, there: dict | None, wanted: dict) -> None:
    different = manifest.differences(there, wanted) if there else []
    if different:
        raise InputError(
            f"--workdir: {directory} holds a cache of other answers: "
            f"{'; '.join(different[:5])}. Use a new --workdir, or the old values."
        )


def _check_empty(request: CacheRequest) -> None:
    if request.options.verify:
        raise InputError(f"--verify: there is no cache in {request.directory}.")
    ours = (workdir.LOCK, workdir.SEEN)
    others = [
        path.name for path in request.directory.iterdir() if path.name not in ours
    ]
    if others:
        raise InputError(
            f"--workdir: {request.directory} holds {', '.join(sorted(others)[:3])} and "
            "no cache; expected a new directory."
        )


def check_room(directory: pathlib.Path, told: dict, to_write: int) -> str:
    """Says how large the cache is, and how much of it is still to be written.

    Args:
      directory: of the cache.
      told: its manifest.
      to_write: how many epochs are missing.

    Raises:
      StorageError: the disk has less than that.
    """
    layout, epochs = Layout.of(told), told["epochs"]
    each, free = layout.bytes_per_epoch(), shutil.disk_usage(directory).free
    if to_write * each > free:
        raise StorageError(
            f"--workdir: {directory} has {size(free)} free and the cache still needs "
            f"{size(to_write * each)}; expected more room, fewer --epochs, float16 or "
            "a smaller --top_k."
        )
    largest = f"the {layout.top_k} largest of " if layout.top_k else ""
    return (
        f"cache: {epochs} epochs of {layout.examples:,} samples, {largest}"
        f"{layout.classes} logits in {layout.dtype}: {size(epochs * each)}; "
        f"{epochs - to_write} epochs are there, {size(to_write * each)} to write, "
        f"{size(free)} free"
    )


def size(count: int) -> str:
    """Bytes as people read them.

    >>> size(2_000_025_600), size(1536), size(7)
    ('2.00 GB', '1.54 kB', '7 bytes')
    """
    if count < 1000:
        return f"{count} bytes"
    power = min((len(str(count)) - 1) // 3, 4)
    return f"{count / 1000**power:.2f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
