"""What is looked at: the outputs of a teacher and its students on the same images."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class NetworkOutputs(NamedTuple):
    """Of one network; of an ensemble the mean of its logits."""

    logits: np.ndarray  # [n, classes]
    # Of the penultimate features; None of a network that does not name them.
    feature_norms: np.ndarray | None = None  # [n]
    # The images of three classes in the plane of the classes' weights: [m, 2], or None.
    points: np.ndarray | None = None


class Compared(NamedTuple):
    """Networks on the same images. Names are those that a reader sees."""

    networks: dict[str, NetworkOutputs]  # teachers first
    teacher_of: dict[str, str]  # student -> its teacher, where it had one
    baseline_of: dict[str, str]  # student -> the same network trained on labels alone
    labels: np.ndarray  # int [n]
    class_names: tuple[str, ...]
    three_classes: tuple[int, ...]  # whose images are `points`; () for none
    total: int  # of the split, of which the n images are an even part
    # Student -> in what its optimizer differs from its baseline's, if it does.
    other_optimizers: Mapping[str, str] = {}

    @property
    def teachers(self) -> list[str]:
        return list(dict.fromkeys(self.teacher_of.values()))

    @property
    def students(self) -> list[str]:
        return [name for name in self.networks if name not in self.teachers]

    @property
    def labels_of_points(self) -> np.ndarray:
        """Int [m], of the images that are projected."""
        return self.labels[np.isin(self.labels, self.three_classes)]

    @property
    def images(self) -> str:
        """How many images these are, for a caption."""
        count = len(self.labels)
        if count == self.total:
            return f"{count:,} test images"
        return f"{count:,} of {self.total:,} test images, evenly spaced"
