"""Images/s of the streaming loader from JPEGs as they are, smaller ones, and pixels.

python -m benchmarks.image_formats --data_dir=DIR    # writes synthetic images into DIR
python -m benchmarks.image_formats --data_dir=DIR --name=imagenet2012 --rounds=9

The formats alternate, in another order in every round, and ratios are taken within a
round. Images per CPU second do not depend on what else runs on the machine. Synthetic
images have the spectrum of photographs (1/f) and about ImageNet's mean size, 500 by 375
and 110 kB; how fast they are decoded depends on both.
"""

import argparse
import pathlib
import statistics
import time

import cv2
import numpy as np

from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split, size_on_disk
from kdjax.data.loaders.streaming import StreamingLoader
from kdjax.data.tfds.find import prepared
from kdjax.datasets.convert_images import convert_images
from kdjax.datasets.encode import jpeg
from kdjax.datasets.folder_builder import prepare_folder
from kdjax.datasets.image_formats import Pixels, ShortSide

SYNTHETIC = "synthetic_images"
FORMATS = (ShortSide(256), Pixels(256), Pixels(160))
FULL, SMALL = Geometry(), Geometry(size=128, short_side=160)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=pathlib.Path, required=True)
    parser.add_argument("--name", default=SYNTHETIC, help="of a prepared set")
    parser.add_argument("--images", type=int, default=800, help="synthetic ones")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8, help="of a turn")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(argv)
    if options.name == SYNTHETIC and prepared(SYNTHETIC, options.data_dir) is None:
        write_synthetic(options.data_dir, options.images)
    common = {"data_dir": options.data_dir, "skip_at_most": 100}
    names = [convert_images(options.name, f, **common).name for f in FORMATS]
    runs = [(options.name, FULL), *((name, FULL) for name in names[:2])]
    runs += [(options.name, SMALL), (names[2], SMALL)]
    loaders = {run: loader_of(*run, options) for run in runs}
    speeds = {run: [] for run in runs}
    for number in range(options.rounds):
        for run in runs[:: 1 if number % 2 else -1]:
            speeds[run].append(turn(loaders[run], options))
    report(speeds, options)


def write_synthetic(data_dir: pathlib.Path, count: int) -> None:
    """A set of images of 500 by 375, or 375 by 500, in ten classes."""
    root = data_dir / f"{SYNTHETIC}_folder"
    for number in range(count):
        shape = (375, 500) if number % 4 else (500, 375)
        folder = root / "train" / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.JPEG").write_bytes(jpeg(photograph(number, shape), 88))
    prepare_folder(SYNTHETIC, root, data_dir=data_dir, skip_at_most=0)


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


def loader_of(
    name: str, crops: Geometry, options: argparse.Namespace
) -> StreamingLoader:
    settings = {"data_dir": options.data_dir, "crops": crops, "skip_at_most": 100}
    split = load_split(name, "train", **settings)
    return StreamingLoader(split.image, {}, seed=0, batch_size=options.batch_size)


def turn(loader: StreamingLoader, options: argparse.Namespace) -> tuple[float, float]:
    """Images a second, and a CPU second of all threads."""
    loader.batch_spec(0)  # starts the threads
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(1, 1 + options.steps):
        loader.batch_spec(step)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    loader.close()
    count = options.steps * options.batch_size
    return count / wall, count / cpu


def report(speeds: dict[tuple[str, Geometry], list], options) -> None:
    """A table; ratios are to the original in crops of the same size."""
    print("set | crops | GB | images/s | images/CPU s | ratio of the latter")
    for (name, crops), turns in speeds.items():
        base = speeds[options.name, crops]
        ratios = [own[1] / other[1] for own, other in zip(turns, base, strict=True)]
        size = size_on_disk(name, options.data_dir) / 1e9
        wall, cpu = (statistics.median(values) for values in zip(*turns, strict=True))
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(
            f"{name} | {crops.size} | {size:.3f} | {wall:.0f} | {cpu:.0f} | "
            f"{middle:.2f} ({low:.2f} - {high:.2f})"
        )


if __name__ == "__main__":
    main()
