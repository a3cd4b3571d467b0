"""The feed that suits a split: in memory, or in its files."""

import numpy as np
from jax.sharding import Mesh

from kdjax.data import resident
from kdjax.data.splits import Split


def place(
    split: Split,
    mesh: Mesh,
    *,
    seed: int,
    batch_size: int,
    notes: dict[str, dict[str, np.ndarray]] | None = None,
):
    """Makes a split's feed: see `kdjax.data.resident.place`, whose arguments these are.

    Every feed has `source`, `ticket(step)` and `rows(index, epoch)`, and its tickets
    become batches by `kdjax.data.resident.materialise`.
    """
    make = resident.place
    if is_stored(split):
        # Only here: what fits in memory needs no Grain.
        from kdjax.data import streamed

        make = streamed.place
    return make(split, mesh, seed=seed, batch_size=batch_size, notes=notes)


def is_stored(split: Split) -> bool:
    """Whether its pictures are decoded when they are asked for."""
    return not isinstance(split.image, np.ndarray)
