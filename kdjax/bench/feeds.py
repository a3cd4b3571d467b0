"""What the timed programs read: noise in place of images and of a teacher's logits."""

import jax
import numpy as np
from jax.sharding import Mesh

from kdjax.bench.problem import Problem
from kdjax.data.load import Split
from kdjax.data.loaders.loader import make_loader
from kdjax.training import sharding
from kdjax.types import PyTree

SEED = 0
LARGEST = 256 * 2**20  # bytes of all images, the batch permitting
MOST_IMAGES = 50_000


class Feed:
    """Puts a call's batch specs on the devices; `source` is what stays there."""

    def __init__(self, problem: Problem, mode: str, mesh: Mesh, steps: int):
        self._split, self._mode, self._mesh = noise_split(problem), mode, mesh
        self._steps, self._rows = steps, problem.batch_size
        sizes = {"seed": SEED, "batch_size": problem.batch_size}
        loader = make_loader(self._split, mesh, **sizes)
        self.source = dict(loader.source)
        if mode == "streamed":
            del self.source["image"]
        self._loader = loader._replace(source=self.source)
        cached = mode == "cached"
        self._logits = noise_logits(problem, len(self._split.label)) if cached else None

    def __call__(self, number: int) -> PyTree:
        numbers = range(number * self._steps, (number + 1) * self._steps)
        specs = [self._of_step(n) for n in numbers]
        if self._steps == 1:
            return sharding.place_rows(specs[0], self._mesh)
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *specs)
        return sharding.place_rows(stacked, self._mesh, axis=1)

    def _of_step(self, number: int) -> dict[str, np.ndarray]:
        if self._mode == "streamed":
            # Slices that lie in memory as they are sent: threads decode while a step
            # computes, and what they take is the measure of `bench --input-only`.
            batches = len(self._split.label) // self._rows
            first = number % batches * self._rows
            index = np.arange(first, first + self._rows, dtype=np.int32)
            spec = self._loader.batch_spec_of(index, np.zeros_like(index))
            return spec | {"image": self._split.image[first : first + self._rows]}
        spec = self._loader.batch_spec(number)
        if self._logits is not None:
            spec |= {"teacher_outputs": self._logits[spec["index"]]}
        return spec


def noise_split(problem: Problem) -> Split:
    """As many images as a batch needs and LARGEST allows."""
    size = int(np.prod(problem.image_shape))
    count = max(problem.batch_size, min(MOST_IMAGES, LARGEST // size))
    rng = np.random.default_rng(SEED)
    image = rng.integers(0, 256, (count, *problem.image_shape), np.uint8)
    label = np.arange(count, dtype=np.int32) % problem.classes
    names = tuple(map(str, range(problem.classes)))
    return Split(image, label, names, {"name": "noise", "split": "train"})


def noise_logits(problem: Problem, count: int) -> np.ndarray:
    """In place of a teacher's, float32 [count, classes]."""
    rng = np.random.default_rng(SEED + 1)
    return rng.normal(0.0, 3.0, (count, problem.classes)).astype(np.float32)
