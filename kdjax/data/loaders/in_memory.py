"""The loader for sets that fit the device: put there once, a step gathers its rows."""

from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from kdjax.data.loaders.sampler import sample_positions
from kdjax.types import PyTree


class InMemoryLoader(NamedTuple):
    """A split on the devices, and which of its samples a step takes.

    `source` is an argument of the compiled step, never a constant in it: a captured
    array would be compiled into the program.
    """

    # image uint8 [n, h, w, c], label int32 [n], and sample_info
    source: dict[str, PyTree]
    seed: int
    batch_size: int
    num_examples: int
    parts: int = 1  # every process has the whole batch_spec

    def batch_spec(self, step: int) -> dict[str, np.ndarray]:
        """What step number `step` trains on: index and epoch, int32 [batch_size]."""
        positions = self.seed, step, self.batch_size, self.num_examples
        return self.batch_spec_of(*sample_positions(*positions))

    def batch_spec_of(self, index, epoch) -> dict[str, np.ndarray]:
        """The batch_spec of any samples in any epochs."""
        return {"index": index, "epoch": epoch}

    def close(self) -> None:
        """Does nothing: there are no threads."""


def replicate(array: np.ndarray, mesh: Mesh) -> Array:
    """Puts an array that every process has on every device of `mesh`."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.make_array_from_process_local_data(everywhere, array)


def place_sample_info(
    sample_info: dict[str, dict[str, np.ndarray]], mesh: Mesh, count: int
) -> dict[str, dict[str, Array]]:
    """Puts sample_info on every device of `mesh`, as float32, checked."""

    def put(path, values):
        values = np.asarray(values, np.float32)
        valid = np.isfinite(values) & (values >= 0)
        if values.shape[:1] != (count,) or not valid.all():
            low, high = (values.min(), values.max()) if values.size else (np.nan,) * 2
            raise ValueError(
                f"make_loader: sample_info{jax.tree_util.keystr(path)} has shape "
                f"{values.shape} and values from {low:g} to {high:g}; expected "
                f"[{count}, ...] finite numbers of 0 or more."
            )
        return replicate(values, mesh)

    return jax.tree_util.tree_map_with_path(put, sample_info)
