"""Batches: gathered inside the compiled step, or cut from a split to evaluate it."""

from collections.abc import Callable, Iterator

import jax
import numpy as np

from kdjax.data.split import Split
from kdjax.types import Batch, Outputs, PyTree


def gather_batch(
    source: dict[str, PyTree],
    batch_spec: dict[str, PyTree],
    decode: Callable[[PyTree], Outputs] | None = None,
) -> Batch:
    """Gathers a batch's rows. Pure; meant to run inside the compiled step.

    `source` and `batch_spec` are a loader's; the latter's sharding becomes the batch's.
    A streaming loader's has "image"; with `decode`, which makes the teacher's outputs
    of them, it has "teacher_outputs", rows of a cache.
    """
    index = batch_spec["index"]

    def rows_of(array):  # `sample_positions` are in bounds
        return array.at[index].get(mode="promise_in_bounds")

    rows = jax.tree.map(rows_of, source)
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
    Yields image uint8 [b, h, w, c], label int32 [b] and valid bool [b], true for
    exactly the split's samples, so sums under it count each of them once.
    """
    if batch_size < 1:
        where = "evaluation_batches: batch_size"
        raise ValueError(f"{where} is {batch_size}; expected 1 or more.")
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
