"""The feed that suits a split: in memory, or in its files."""

from collections.abc import Callable

import numpy as np
from jax.sharding import Mesh

from kdjax.data.loaders import in_memory
from kdjax.data.loaders.sampler import first_epochs
from kdjax.data.split import Split


def place(
    split: Split,
    mesh: Mesh,
    *,
    seed: int,
    batch_size: int,
    sample_info: dict[str, dict[str, np.ndarray]] | None = None,
):
    """Makes a split's feed: see `kdjax.data.loaders.in_memory.place`, whose arguments these are.

    Every feed has `source`, `ticket(step)` and `rows(index, epoch)`, and its tickets
    become batches by `kdjax.data.loaders.in_memory.materialise`.
    """
    make = in_memory.place
    if is_stored(split):
        # Only here: what fits in memory needs no Grain.
        from kdjax.data.loaders import streaming

        make = streaming.place
    return make(split, mesh, seed=seed, batch_size=batch_size, sample_info=sample_info)


def sides(
    split: Split, seed: int, step_size: int | None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """Which side the crop of a sample has in an epoch; None where all are of one.

    A step's crops have the size of the epoch that it begins in, so the first samples of
    an epoch may have that of the one before. (A sample that stands in for an unreadable
    one has the size of its own step.)

    Args:
      split: of a run.
      seed: of its data order.
      step_size: samples in a step over all devices.

    Returns:
      (index [m], epoch [m]) -> int [m], or None.
    """
    if not is_stored(split) or not split.image.geometry.sizes:
        return None
    if step_size is None:
        raise ValueError("sides: step_size is not given; these crops' sizes change.")

    def found(index: np.ndarray, epoch: np.ndarray) -> np.ndarray:
        begun = first_epochs(seed, index, epoch, step_size, len(split.label))
        return np.array([split.image.geometry.size_at(e) for e in begun.tolist()])

    return found


def is_stored(split: Split) -> bool:
    """Whether its pictures are decoded when they are asked for."""
    return not isinstance(split.image, np.ndarray)
