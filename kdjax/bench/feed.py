"""Images/s of a streamed feed alone: tickets decoded, and nothing computed of them."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import kdjax
from kdjax.bench.timing import BLOCK_SECONDS
from kdjax.contracts import InputError
from kdjax.data.images.decode import Unreadable
from kdjax.data.images.lazy import LazyImages
from kdjax.data.loaders.streaming import StreamingLoader

PACKAGES = ("array-record", "grain", "opencv-python-headless", "simplejpeg")
SAMPLE = 256  # pictures whose files are measured
KEYS = {
    "set": "whose pictures are decoded",
    "pictures": "how many there are",
    "picture_bytes": "of a picture's file, on the mean",
    "picture_pixels": "of a picture, on the mean",
    "image_size": "pixels of a crop's side",
    "batch_size": "images of a ticket",
    "placed": "whether tickets were put on the devices as well",
    "threads": "that decode",
    "cores": "that the process may use",
    "repeats": "blocks",
    "batches": "tickets of a block",
    "images_per_second": "of the median block",
    "images_per_second_low": "of the slowest block",
    "images_per_second_high": "of the fastest block",
    "images_per_second_per_core": "of the median block, by cores that threads can use",
    "images_per_cpu_second": "by the time that cores computed: on a busy machine, too",
    "processor": "its name",
    "load_average": "of the last minute, when the measurement began",
    "versions": "of kdjax and of what decodes",
}


class FeedTiming(NamedTuple):
    """Blocks of tickets, in seconds."""

    batches: int  # of a block
    seconds: tuple[float, ...]  # of each block
    cpu_seconds: float  # of all of them, over all threads
    first: int  # step of the first block

    def rates(self, images: int) -> tuple[float, float, float]:
        """Images/s at so many a ticket: (median, lowest, highest) over the blocks."""
        done = self.batches * images
        seconds = statistics.median(self.seconds), max(self.seconds), min(self.seconds)
        return tuple(done / s for s in seconds)

    def per_cpu_second(self, images: int) -> float:
        """Images that a second of one core's time decodes."""
        return len(self.seconds) * self.batches * images / self.cpu_seconds


def measure(
    take: Callable[[int], object],
    *,
    warm: int,
    repeats: int,
    batches: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
) -> FeedTiming:
    """Times a feed from the state on in which nothing is decoded ahead any more.

    Args:
      take: fetches the ticket of a step.
      warm: tickets before the first block; more than are decoded ahead.
      repeats: blocks.
      batches: of a block; 0: what fills BLOCK_SECONDS.
      clock: for tests.
      cpu_clock: for tests.
    """
    begun = clock()
    for step in range(warm):
        take(step)
    pace = (clock() - begun) / warm
    batches, step = batches or max(2, round(BLOCK_SECONDS / pace)), warm
    seconds, cpu = [], cpu_clock()
    for _ in range(repeats):
        begun = clock()
        for number in range(step, step + batches):
            take(number)
        seconds.append(clock() - begun)
        step += batches
    return FeedTiming(batches, tuple(seconds), cpu_clock() - cpu, warm)


def row(
    images: LazyImages, feed: StreamingLoader, timed: FeedTiming, cores: int
) -> dict:
    """The numbers of a timing; with what is told of the set, the keys of KEYS.

    Raises:
      InputError: as `side_of` does.
    """
    rate, low, high = timed.rates(feed.batch_size)
    return {
        "image_size": side_of(images, feed, timed),
        "batch_size": feed.batch_size,
        "threads": feed.threads,
        "cores": cores,
        "repeats": len(timed.seconds),
        "batches": timed.batches,
        "images_per_second": rate,
        "images_per_second_low": low,
        "images_per_second_high": high,
        "images_per_second_per_core": rate / min(feed.threads, cores),
        "images_per_cpu_second": timed.per_cpu_second(feed.batch_size),
        "processor": processor(),
        "versions": versions(),
    }


def side_of(images: LazyImages, feed: StreamingLoader, timed: FeedTiming) -> int:
    """Side of the crops that were timed.

    Raises:
      InputError: it changed on the way, so that no rate could be told of it.
    """
    last = timed.first + len(timed.seconds) * timed.batches - 1
    epochs = [n * feed.batch_size // feed.num_examples for n in (timed.first, last)]
    sides = [images.geometry.size_at(epoch) for epoch in range(*epochs)]
    sides = sorted({*sides, images.geometry.size_at(epochs[1])})
    if len(sides) > 1:
        raise InputError(
            f"bench: epochs {epochs[0]} to {epochs[1]} were timed, whose crops have "
            f"sides of {', '.join(map(str, sides))}; expected one. Take fewer "
            "--batches or --repeats, or --config.data.crops.sizes='()'."
        )
    return sides[0]


def about(name: str, images: LazyImages) -> dict:
    """How large a set's pictures are, by some of them, evenly chosen."""
    every = max(1, len(images) // SAMPLE)
    sizes, pixels = [], []
    for index in range(0, len(images), every):
        with contextlib.suppress(Unreadable):  # a feed counts and replaces them
            pixels.append(images.pixels(index))
            sizes.append(len(images.content(index)))
    return {
        "set": name,
        "pictures": len(images),
        "picture_bytes": statistics.fmean(sizes or [0]),
        "picture_pixels": statistics.fmean(pixels or [0]),
    }


def versions() -> dict[str, str]:
    """Versions of what the speed depends on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"kdjax": kdjax.__version__, "python": platform.python_version()} | found


def load_average() -> float | None:
    """Programs that wanted a core in the last minute; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = pathlib.Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
