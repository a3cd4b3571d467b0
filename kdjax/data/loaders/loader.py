"""The loader that suits a split: in memory, or streaming from its files."""

from collections.abc import Callable

import numpy as np
from jax.sharding import Mesh

from kdjax.data.loaders import in_memory
from kdjax.data.loaders.sampler import first_epochs
from kdjax.data.split import Split


def make_loader(split: Split, mesh: Mesh, **arguments):
    """Makes a split's loader; arguments are those of `in_memory.make_loader`.

    Every loader has `source`, `batch_spec(step)` and `batch_spec_of(index, epoch)`;
    `kdjax.data.loaders.in_memory.gather_batch` turns a batch_spec into a batch.
    """
    if not is_streamed(split):
        return in_memory.make_loader(split, mesh, **arguments)
    # Only here: what fits in memory needs no Grain.
    from kdjax.data.loaders import streaming

    return streaming.make_loader(split, mesh, **arguments)


def sides(
    split: Split, seed: int, step_size: int | None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """Which side the crop of a sample has in an epoch; None where all have the same.

    A step's crops have the size of the epoch that it starts in, so the first samples of
    an epoch may have that of the one before. (A sample that replaces an unreadable one
    has the size of its own step.) `step_size` is the samples in a step over all
    devices.

    Returns:
      (index [m], epoch [m]) -> int [m], or None.
    """
    if not is_streamed(split) or not split.image.geometry.sizes:
        return None
    if step_size is None:
        raise ValueError("sides: step_size is not given; these crops' sizes change.")

    def side_of(index: np.ndarray, epoch: np.ndarray) -> np.ndarray:
        start = first_epochs(seed, index, epoch, step_size, len(split.label))
        return np.array([split.image.geometry.size_at(e) for e in start.tolist()])

    return side_of


def is_streamed(split: Split) -> bool:
    """Whether its images are decoded when they are needed."""
    return not isinstance(split.image, np.ndarray)
