"""A set of synthetic JPEGs, to time a loader where there are no photographs.

Noise of every scale, with the more amplitude the coarser it is, as photographs have:
what a decoder does depends on the entropy of what it reads. 400 x 350 pixels at quality
90 take about 48 kB, photographs of that size 30 to 60.
"""

import contextlib
import io
import math
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg
import tensorflow_datasets as tfds

NAME, CLASSES, QUALITY = "synthetic_images", 1000, 90
_AMPLITUDE, _GROWTH = 6.0, 0.45  # of the finest noise, and with the scale
_COLOUR = 0.35  # of the brightness's amplitude
_COARSEST = 256
_MARGIN = 600  # pixels around a window on the canvas that all of them are cut from


class SyntheticImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """JPEGs of one size in the layout of ImageNet's set; split "train" alone."""

    name = NAME
    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, height: int, width: int, count: int, **arguments):
        self._shape = height, width, count
        super().__init__(**arguments, file_format="array_record")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(num_classes=CLASSES),
            "file_name": tfds.features.Text(),
        }
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number, content in enumerate(synthetic_jpegs(*self._shape)):
            name = f"synthetic_{number:06d}.JPEG"
            image, label = io.BytesIO(content), number % CLASSES
            yield number, {"image": image, "label": label, "file_name": name}


def prepare_synthetic(data_dir: pathlib.Path, **size: int) -> None:
    """Writes `count` images of `height` by `width`, to be loaded as NAME, "train"."""
    write_quietly(SyntheticImages(data_dir=data_dir, **size))


def write_quietly(builder: tfds.core.DatasetBuilder) -> None:
    """Writes a set, without downloads, statistics, or TFDS's banners and bars."""
    config = tfds.download.DownloadConfig(
        try_download_gcs=False, compute_stats=tfds.download.ComputeStatsMode.SKIP
    )
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        builder.download_and_prepare(download_config=config)


def synthetic_jpegs(
    height: int, width: int, count: int, seed: int = 0
) -> Iterator[bytes]:
    """JPEGs, 4:2:0; windows at random places of one canvas, every second mirrored."""
    rng = np.random.default_rng(seed)
    canvas = _canvas(height + _MARGIN, width + _MARGIN, rng)
    for number in range(count):
        top, left = rng.integers(0, _MARGIN, 2)
        window = canvas[top : top + height, left : left + width]
        window = window[:, ::-1] if number % 2 else window
        window = np.ascontiguousarray(window)
        yield simplejpeg.encode_jpeg(window, QUALITY, colorsubsampling="420")


def _canvas(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    noise = np.zeros((height, width, 3), np.float32)  # brightness and two colours
    scale = _COARSEST
    while scale >= 1:
        sides = [math.ceil(side / scale) + 1 for side in (height, width)]
        finest = rng.standard_normal((*sides, 3), np.float32)
        size = [scale * side for side in reversed(sides)]
        larger = cv2.resize(finest, size, interpolation=cv2.INTER_CUBIC)
        noise += _AMPLITUDE * scale**_GROWTH * larger[:height, :width]
        scale //= 2
    brightness, colours = 128 + noise[..., :1], _COLOUR * noise[..., 1:]
    channels = brightness + colours[..., :1], brightness, brightness + colours[..., 1:]
    return np.clip(np.concatenate(channels, -1), 0, 255).astype(np.uint8)
