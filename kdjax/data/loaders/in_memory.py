"""The loader for sets that fit the device: put there once, a step gathers its rows."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from kdjax.data.loaders.sampler import sample_positions
from kdjax.data.split import Split
from kdjax.types import Batch, Outputs, PyTree


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
        index, epoch = sample_positions(
            self.seed, step, self.batch_size, self.num_examples
        )
        return self.batch_spec_of(index, epoch)

    def batch_spec_of(
        self, index: np.ndarray, epoch: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The batch_spec of any samples in any epochs."""
        return {"index": index, "epoch": epoch}

    def close(self) -> None:
        """Does nothing: there are no threads."""


def make_loader(
    split: Split,
    mesh: Mesh,
    *,
    seed: int,
    batch_size: int,
    sample_info: dict[str, dict[str, np.ndarray]] | None = None,
) -> InMemoryLoader:
    """Puts a split on every device of `mesh`.

    Args:
      split: from `load_split`.
      mesh: every device gets the whole split.
      seed: decides the order of samples.
      batch_size: samples in a step over all devices; a multiple of their number.
      sample_info: student -> name -> [n, ...] finite numbers >= 0, as "selection".
    """
    count = len(split.label)
    check_batch_size(batch_size, mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    host = {"image": split.image, "label": split.label}
    source = {
        name: jax.make_array_from_process_local_data(everywhere, array)
        for name, array in host.items()
    }
    source["sample_info"] = place_sample_info(sample_info or {}, mesh, count)
    return InMemoryLoader(source, seed, batch_size, count)


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError unless every device gets as many rows of a batch."""
    if batch_size < 1 or batch_size % mesh.size:
        raise ValueError(
            f"make_loader: batch_size is {batch_size}; expected a multiple of the "
            f"{mesh.size} devices."
        )


def place_sample_info(
    sample_info: dict[str, dict[str, np.ndarray]], mesh: Mesh, count: int
) -> dict[str, dict[str, Array]]:
    """Puts sample_info on every device of `mesh`, as float32, checked."""
    everywhere = NamedSharding(mesh, PartitionSpec())

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
        return jax.make_array_from_process_local_data(everywhere, values)

    return jax.tree_util.tree_map_with_path(put, sample_info)


def gather_batch(
    source: dict[str, PyTree],
    batch_spec: dict[str, PyTree],
    decode: Callable[[PyTree], Outputs] | None = None,
) -> Batch:
    """Gathers a batch's rows. Pure; meant to run inside the compiled step.

    Args:
      source: a loader's `source`.
      batch_spec: a loader's; its sharding becomes the batch's. A streaming loader's has
        "image"; with `decode` it has "teacher_outputs", rows of a cache.
      decode: makes the teacher's outputs of those.
    """
    index = batch_spec["index"]
    # They come from `sample_positions`, so every index is in bounds.
    rows = jax.tree.map(
        lambda array: array.at[index].get(mode="promise_in_bounds"), source
    )
    return Batch(
        image=batch_spec["image"] if "image" in batch_spec else rows["image"],
        label=rows["label"],
        index=index,
        epoch=batch_spec["epoch"],
        sample_info=rows["sample_info"],
        teacher_outputs=decode(batch_spec["teacher_outputs"]) if decode else None,
    )


def evaluation_batches(
    split: Split, batch_size: int, process: int = 0, processes: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cuts a split into batches of one size, in order; pads the last with zeros.

    Each of `processes` gets as many batches, of its own rows; no others are decoded.

    Yields:
      (image uint8 [b, h, w, c], label int32 [b], valid bool [b]); `valid` is true for
      exactly the split's samples, so sums under it count each of them once.
    """
    if batch_size < 1:
        raise ValueError(
            f"evaluation_batches: batch_size is {batch_size}; expected 1 or more."
        )
    rows = batch_size // processes
    for start in range(process * rows, process * rows + len(split.label), batch_size):
        image = split.image[start : start + rows]
        label = split.label[start : start + rows]
        missing = rows - len(label)
        valid = np.arange(rows) < len(label)
        if missing:
            image = np.pad(image, [(0, missing), (0, 0), (0, 0), (0, 0)])
            label = np.pad(label, (0, missing))
        yield image, label, valid
