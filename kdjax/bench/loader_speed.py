"""Images/s of the streaming loader alone: batches decoded, and nothing computed."""

import contextlib
import os
import pathlib
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from kdjax.bench import timing
from kdjax.contracts import InputError, versions
from kdjax.data.images.crops import Geometry
from kdjax.data.images.decode import Unreadable
from kdjax.data.images.lazy import LazyImages
from kdjax.data.load import load_split
from kdjax.data.loaders.loader import make_loader
from kdjax.data.loaders.streaming import StreamingLoader
from kdjax.data.prefetch import cores
from kdjax.data.split import Split
from kdjax.data.synthetic import NAME, prepare_synthetic
from kdjax.distributed import devices
from kdjax.training import sharding

PACKAGES = ("array-record", "grain", "opencv-python-headless", "simplejpeg")
SAMPLE = 256  # images whose files are measured
KEYS = {
    "set": "whose images are decoded",
    "pictures": "how many there are",
    "picture_bytes": "of an image's file, on the mean",
    "picture_pixels": "of an image, on the mean",
    "image_size": "pixels of a crop's side",
    "batch_size": "images of a step",
    "placed": "whether batches were put on the devices as well",
    "threads": "that decode",
    "cores": "that the process may use",
    "repeats": "blocks",
    "batches": "steps of a block",
    "images_per_second": "of the median block",
    "images_per_second_low": "of the slowest block",
    "images_per_second_high": "of the fastest block",
    "images_per_second_per_core": "of the median block, by cores that threads can use",
    "images_per_cpu_second": "by the time that cores computed: on a busy machine, too",
    "processor": "its name",
    "load_average": "of the last minute, when the measurement began",
    "versions": "of kdjax and of what decodes",
}


class LoaderTiming(NamedTuple):
    """Blocks, and the steps of all of them."""

    blocks: timing.Timing
    cpu_seconds: float  # of all blocks, over all threads
    steps: range


@contextlib.contextmanager
def synthetic_split(
    width: int, height: int, count: int, crops: Geometry
) -> Iterator[Split]:
    """JPEGs in a directory that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="kdjax-") as scratch:
        data_dir = pathlib.Path(scratch)
        prepare_synthetic(data_dir, height=height, width=width, count=count)
        yield load_split(NAME, "train", data_dir=data_dir, crops=crops)


def measure_split(
    split: Split,
    mesh: Mesh,
    *,
    seed: int,
    batch_size: int,
    threads: int,
    place: bool,
    batches: int,
    repeats: int,
) -> dict:
    """Times the loader of a split on disk; the keys are those of KEYS.

    With `place`, batches are put on the devices of `mesh`. A block has so many
    `batches`; 0: as many as fill BLOCK_SECONDS.
    """
    facts = about(split) | {"placed": place, "load_average": load_average()}
    options = {"seed": seed, "batch_size": batch_size, "threads": threads}
    loader = make_loader(split, mesh, **options)

    def ready(step: int) -> None:
        batch_spec = loader.batch_spec(step)
        if place:
            placed = sharding.place_rows(batch_spec, mesh, parts=loader.parts)
            jax.block_until_ready(placed)

    with contextlib.closing(loader):
        warm = 2 * loader.batches_ahead()
        timed = measure(ready, warm=warm, repeats=repeats, batches=batches)
        return facts | row(split.image, loader, timed, cores())


def measure(
    ready: Callable[[int], object],
    *,
    warm: int,
    repeats: int,
    batches: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
) -> LoaderTiming:
    """Times a loader once what was decoded ahead is used up.

    `ready` fetches the batch of a step. The first `warm` steps, more than are decoded
    ahead, are no part of a block.
    """
    program = timing.Program(lambda state, _: state, None, ready)
    seconds, _ = timing.block(program, 0, warm, clock)
    batches = batches or max(2, round(timing.BLOCK_SECONDS * warm / seconds))
    cpu_start = cpu_clock()
    blocks = timing.blocks(program, warm, batches, repeats, clock)
    steps = range(warm, warm + repeats * batches)
    return LoaderTiming(blocks, cpu_clock() - cpu_start, steps)


def row(
    images: LazyImages, loader: StreamingLoader, timed: LoaderTiming, cores: int
) -> dict:
    """The numbers of a timing; errors are those of `side_of`."""
    rates = timed.blocks.rates(loader.batch_size)
    decoded, busy = len(timed.steps) * loader.batch_size, min(loader.threads, cores)
    return {
        "image_size": side_of(images, loader, timed),
        "batch_size": loader.batch_size,
        "threads": loader.threads,
        "cores": cores,
        "repeats": len(timed.blocks.seconds),
        "batches": timed.blocks.steps,
        **rates,
        "images_per_second_per_core": rates["images_per_second"] / busy,
        "images_per_cpu_second": decoded / timed.cpu_seconds,
        "processor": devices.processor(),
        "versions": {"python": platform.python_version()} | versions(*PACKAGES),
    }


def side_of(images: LazyImages, loader: StreamingLoader, timed: LoaderTiming) -> int:
    """Side of the crops that were timed; raises InputError if it changed on the way."""
    ends = timed.steps[0], timed.steps[-1]
    first, last = (n * loader.batch_size // loader.num_examples for n in ends)
    sides = {images.geometry.size_at(epoch) for epoch in range(first, last + 1)}
    if len(sides) > 1:
        raise InputError(
            f"bench: epochs {first} to {last} were timed, whose crops have "
            f"sides of {', '.join(map(str, sorted(sides)))}; expected one. Take fewer "
            "--batches or --repeats, or --config.data.crops.sizes='()'."
        )
    return sides.pop()


def about(split: Split) -> dict:
    """How large a set's images are, by some of them, evenly spaced."""
    images = split.image
    sizes, pixels = [], []
    for index in range(0, len(images), max(1, len(images) // SAMPLE)):
        with contextlib.suppress(Unreadable):  # a loader counts and replaces them
            pixels.append(images.pixels(index))
            sizes.append(len(images.content(index)))
    return {
        "set": split.identity["name"],
        "pictures": len(images),
        "picture_bytes": statistics.fmean(sizes or [0]),
        "picture_pixels": statistics.fmean(pixels or [0]),
    }


def load_average() -> float | None:
    """Programs that wanted a core in the last minute; None where it is not counted."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
