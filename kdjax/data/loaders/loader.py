"""The loader that suits a split: in memory, or streaming from its files."""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from kdjax.data.loaders.in_memory import InMemoryLoader, place_sample_info, replicate
from kdjax.data.loaders.sampler import first_epochs
from kdjax.data.split import Split


def make_loader(
    split: Split,
    mesh: Mesh,
    *,
    seed: int,
    batch_size: int,
    sample_info: dict[str, dict[str, np.ndarray]] | None = None,
    threads: int = 0,
):
    """Makes a split's loader; what the split has in memory goes onto every device.

    Every loader has `source`, `batch_spec(step)` and `batch_spec_of(index, epoch)`;
    `kdjax.data.loaders.batch.gather_batch` turns a batch_spec into a batch.

    Args:
      seed: decides the order of samples, and the crops of streamed ones.
      batch_size: samples in a step over all devices; a multiple of their number.
      sample_info: student -> name -> [n, ...] finite numbers >= 0, as "selection".
      threads: that decode streamed images; 0: as many as the split was loaded with.
    """
    if batch_size < 1 or batch_size % mesh.size:
        raise ValueError(
            f"make_loader: batch_size is {batch_size}; expected a multiple of the "
            f"{mesh.size} devices."
        )
    count = len(split.label)
    source = {
        "label": replicate(split.label, mesh),
        "sample_info": place_sample_info(sample_info or {}, mesh, count),
    }
    if not is_streamed(split):
        source["image"] = replicate(split.image, mesh)
        return InMemoryLoader(source, seed, batch_size, count)
    # Only here: what fits in memory needs no Grain.
    from kdjax.data.loaders.streaming import StreamingLoader

    options = {"seed": seed, "batch_size": batch_size, "threads": threads}
    share = {"process": jax.process_index(), "processes": jax.process_count()}
    return StreamingLoader(split.image, source, **options, **share)


def sides(
    split: Split, seed: int, step_size: int | None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """(index [m], epoch [m]) -> side of each sample's crop; None where all are equal.

    A step's crops have the size of the epoch that it starts in, so the first samples of
    an epoch may have that of the one before. (A sample that replaces an unreadable one
    has the size of its own step.) `step_size` is the samples in a step over all
    devices.
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
