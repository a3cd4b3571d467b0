"""What the images of a set are like, gathered while each is read once."""

import hashlib
import threading
from collections import Counter

import cv2
import numpy as np

from kdjax.datasets.problems import Problems

MEASURED = 20_000  # training images, at most, whose mean and deviation are taken
_LARGEST_SMALL = 256  # what is larger is never reported as small
_CONSTANT = 1e-6  # of a deviation: every pixel of a channel is the same


class Survey:
    """Sizes, moments and copies of images. Any thread may add."""

    def __init__(self, sample: set[str]):
        """`sample` has the keys of the training images that are measured."""
        self.sizes: Counter[tuple[int, int]] = Counter()  # (height, width)
        self._sample, self._lock = sample, threading.Lock()
        self._moments: dict[str, np.ndarray] = {}  # key -> [2, 3]: E[x], E[x^2]
        self._copies: dict[bytes, list[tuple[str, str]]] = {}  # digest -> split, key
        self._small: list[tuple[int, str]] = []  # short side, name

    def add(self, split: str, key: str, content: bytes, image: np.ndarray) -> None:
        """An image: its key CLASS/NAME, its file before anything is applied, pixels."""
        height, width = image.shape[:2]
        digest = hashlib.sha256(content).digest()
        is_measured = split == "train" and key in self._sample
        moments = _moments(image) if is_measured else None
        with self._lock:
            self.sizes[height, width] += 1
            self._copies.setdefault(digest, []).append((split, key))
            if min(height, width) < _LARGEST_SMALL:
                self._small.append((min(height, width), f"{split}, {key}"))
            if moments is not None:
                self._moments[key] = moments

    @property
    def measured(self) -> int:
        return len(self._moments)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of each channel, of pixels in [0, 1], each image weighted alike.

        The deviation of a channel that is constant is said to be 1, so that it becomes
        0 and nothing is divided by 0.
        """
        # In a fixed order: threads add in any.
        moments = np.stack([self._moments[key] for key in sorted(self._moments)])
        mean, square = moments.mean(0)
        std = np.sqrt(np.maximum(square - mean**2, 0))
        std = np.where(std < _CONSTANT, 1.0, std)
        return tuple(mean.tolist()), tuple(std.tolist())

    def report(self, problems: Problems, smallest: int) -> None:
        """Copies, and images whose short side is below `smallest`."""
        for copies in sorted(sorted(c) for c in self._copies.values() if len(c) > 1):
            names = " and ".join(f"{split}, {key}" for split, key in copies[:3])
            splits = {split for split, _ in copies}
            if "train" in splits and len(splits) > 1:
                problems.add("leak", names)
            if len({key.split("/")[0] for _, key in copies}) > 1:
                problems.add("conflict", names)
        for side, name in sorted(self._small):
            if side < smallest:
                problems.add("tiny", f"{name}: short side {side}")


def _moments(image: np.ndarray) -> np.ndarray:
    """Means of pixels and of their squares, float64 [2, channels], in [0, 1]."""
    mean, std = (x[:, 0] / 255 for x in cv2.meanStdDev(image))  # sums are exact
    return np.stack([mean, std**2 + mean**2])
