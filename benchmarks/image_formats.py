"""Images/s of the streamed feed from JPEGs as they are, smaller ones, and pixels.

python -m benchmarks.image_formats --data_dir=DIR                  # draws pictures into DIR
python -m benchmarks.image_formats --data_dir=DIR --name=imagenet2012 --rounds=9

The forms take turns, in another order in every round, and ratios are taken within a
round. Images per CPU second say what a core does when others use the machine as well.
Drawn pictures have the spectrum of photographs (1/f) and about ImageNet's mean size,
500 by 375 and 110 kB; how fast they are decoded depends on both.
"""

import argparse
import pathlib
import statistics
import time

import cv2
import numpy as np
from kdjax.data.load_stored import load_stored
from kdjax.datasets.prepare_folder import prepare_folder

from kdjax.data.images.crops import Geometry
from kdjax.data.loaders.streaming import StreamingLoader
from kdjax.data.tfds.find import prepared
from kdjax.data.tfds.records import size_of
from kdjax.datasets.convert_images import derive
from kdjax.datasets.encode import jpeg
from kdjax.datasets.image_formats import Pixels, ShortSide

DRAWN = "drawn_pictures"
FORMS = (ShortSide(256), Pixels(256), Pixels(160))
FULL, SMALL = Geometry(), Geometry(size=128, short_side=160)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=pathlib.Path, required=True)
    parser.add_argument("--name", default=DRAWN, help="of a prepared set")
    parser.add_argument("--pictures", type=int, default=800, help="that are drawn")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8, help="of a turn")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(argv)
    if options.name == DRAWN and prepared(DRAWN, options.data_dir) is None:
        draw(options.data_dir, options.pictures)
    how = {"data_dir": options.data_dir, "skip_at_most": 100}
    names = [derive(options.name, form, **how).name for form in FORMS]
    runs = [(options.name, FULL), *((name, FULL) for name in names[:2])]
    runs += [(options.name, SMALL), (names[2], SMALL)]
    feeds = {run: feed_of(*run, options) for run in runs}
    found = {run: [] for run in runs}
    for number in range(options.rounds):
        for run in runs[:: 1 if number % 2 else -1]:
            found[run].append(turn(feeds[run], options))
    report(found, options)


def draw(data_dir: pathlib.Path, count: int) -> None:
    """A set of pictures of 500 by 375, or 375 by 500, in ten classes."""
    root = data_dir / f"{DRAWN}_folder"
    for number in range(count):
        shape = (375, 500) if number % 4 else (500, 375)
        folder = root / "train" / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.JPEG").write_bytes(jpeg(photograph(number, shape), 88))
    prepare_folder(DRAWN, root, data_dir=data_dir, skip_at_most=0)


def photograph(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Noise with the spectrum of photographs; colours vary less than brightness."""
    rng = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    frequency = np.hypot(rows[:, None], columns[None])
    frequency[0, 0] = np.inf
    planes = []
    for spread in (50, 16, 16):
        noise = np.fft.rfft2(rng.normal(size=shape)) / frequency
        plane = np.fft.irfft2(noise, shape)
        planes.append(128 + spread * plane / plane.std())
    bright = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    return cv2.cvtColor(bright, cv2.COLOR_YCrCb2RGB)


def feed_of(name: str, crops: Geometry, options: argparse.Namespace) -> StreamingLoader:
    where = {"geometry": crops, "skip_at_most": 100}
    split = load_stored(name, "train", options.data_dir, **where)
    return StreamingLoader(split.image, {}, seed=0, batch_size=options.batch_size)


def turn(feed: StreamingLoader, options: argparse.Namespace) -> tuple[float, float]:
    """Images a second, and a CPU second of all threads."""
    feed.batch_spec(0)  # starts the threads
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(1, 1 + options.steps):
        feed.batch_spec(step)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    feed.close()
    count = options.steps * options.batch_size
    return count / wall, count / cpu


def report(found: dict[tuple[str, Geometry], list], options) -> None:
    """A table; ratios are to the original in crops of the same size."""
    print("set | crops | GB | images/s | images/CPU s | ratio of the latter")
    for (name, crops), turns in found.items():
        base = found[options.name, crops]
        ratios = [own[1] / other[1] for own, other in zip(turns, base, strict=True)]
        size = size_of(name, options.data_dir) / 1e9
        wall, cpu = (statistics.median(values) for values in zip(*turns, strict=True))
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(
            f"{name} | {crops.size} | {size:.3f} | {wall:.0f} | {cpu:.0f} | "
            f"{middle:.2f} ({low:.2f} - {high:.2f})"
        )


if __name__ == "__main__":
    main()
