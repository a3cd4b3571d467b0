"""The feed for sets that do not fit: threads decode crops while the devices compute."""

import hashlib
import os
import pathlib

import grain
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kdjax.data.ahead import decoders
from kdjax.data.crops import Geometry
from kdjax.data.errors import DataError
from kdjax.data.labels import read_labels
from kdjax.data.order import sample_positions
from kdjax.data.quick import PIXELS
from kdjax.data.records import Opened, open_split
from kdjax.data.resident import check_batch_size, place_notes
from kdjax.data.skipped import Skipped
from kdjax.data.splits import Split
from kdjax.data.stored import StoredImages

_STEPS = 1 << 40  # more than any run has


def load_stored(
    name: str,
    split: str,
    data_dir: pathlib.Path,
    *,
    geometry: Geometry,
    skip_at_most: int,
) -> Split:
    """Opens a split of a prepared set, with its labels; its pictures stay on disk.

    Args:
      name: of the set, as `load_split` has it; no .npz file.
      split: "train", or a slice of it.
      data_dir: where TFDS keeps its sets.
      geometry: of the crops.
      skip_at_most: how many unreadable pictures a training puts up with.

    Raises:
      DataError: the set is not prepared, not readable or not of colour pictures.
    """
    opened = open_split(name, split, data_dir)
    channels = opened.features["image"].shape[-1]
    if channels not in (3, None):
        raise DataError(
            f"{opened.where}: images have {channels} channel(s); a streamed set is "
            "decoded to three. Expected feature image with shape (None, None, 3)."
        )
    class_names = tuple(opened.features["label"].names)
    label = read_labels(opened)
    identity = {
        "name": opened.builder.info.full_name.rsplit("/", 1)[0],
        "version": str(opened.builder.version),
        "split": split,
        "num_examples": len(label),
        "sha256": _digest(opened, label, class_names),
        "crops": geometry.identity(),
        "pixels": PIXELS,
    }
    images = StoredImages(opened, geometry, Skipped(skip_at_most))
    return Split(images, label, class_names, identity)


class StreamedFeed:
    """A split on disk, and the crops of its samples that a step takes.

    Made by `place`. What a ticket holds depends on its number alone: tickets may be
    asked for again and in any order, but one after the other they are there before
    they are asked for.
    """

    def __init__(
        self,
        images: StoredImages,
        source: dict,
        *,
        seed: int,
        batch_size: int,
        process: int = 0,
        processes: int = 1,
        threads: int | None = None,
    ):
        """Starts no thread yet.

        Args:
          images: of the split.
          source: label int32 [n] and notes, on the devices.
          seed: draws order and crops.
          batch_size: samples in a step over all processes; a multiple of them.
          process: number of this one.
          processes: how many share a batch; each decodes its own rows of it.
          threads: that decode, each of them a whole batch; None: one a core.
        """
        self.images, self.source, self.seed = images, source, seed
        self.batch_size, self.num_examples = batch_size, len(images)
        self.parts = processes
        rows = batch_size // processes
        self._rows = slice(process * rows, (process + 1) * rows)
        self.threads = threads or decoders()
        self._stream, self._next = None, -1

    def ticket(self, step: int) -> dict[str, np.ndarray]:
        """What this process's rows of step number `step` are.

        index and epoch, int32 [b], and image, uint8 [b, side, side, 3], where side
        is the geometry's in the epoch of the step's first sample.

        Raises:
          DataError: too many pictures cannot be read.
        """
        if self._stream is None:
            options = grain.ReadOptions(self.threads, self.threads + 1)
            steps = grain.MapDataset.range(_STEPS).map(self._batch)
            self._stream = iter(steps.to_iter_dataset(options))
        if step != self._next:
            self._stream.set_state({"next_index": step})
        self._next = -1  # unless this one comes, the next begins anew
        ticket = next(self._stream)
        self._next = step + 1
        return ticket

    def rows(
        self, index: np.ndarray, epoch: np.ndarray, side: int | None = None
    ) -> dict[str, np.ndarray]:
        """The ticket of any samples in any epochs, decoded here and now.

        Where a picture cannot be read, `index` is that of the one in its place.

        Args:
          index: [b], of samples.
          epoch: [b], in which they are seen.
          side: of the crops; None: that of evaluation.
        """
        side = side or self.images.geometry.size
        image = np.empty((len(index), side, side, 3), np.uint8)
        used = np.empty(len(index), np.int32)
        for row, sample in enumerate(zip(epoch.tolist(), index.tolist(), strict=True)):
            _, used[row] = self.images.training_crop(self.seed, *sample, image[row])
        return {"index": used, "epoch": np.asarray(epoch, np.int32), "image": image}

    def close(self) -> None:
        """Ends the threads; a ticket starts them again."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._next = None, -1

    def _batch(self, step: int) -> dict[str, np.ndarray]:
        index, epoch = sample_positions(
            self.seed, step, self.batch_size, self.num_examples
        )
        # One size a step: of the epoch that it begins in, whichever process asks.
        side = self.images.geometry.size_at(int(epoch[0]))
        return self.rows(index[self._rows], epoch[self._rows], side)


def place(
    split: Split,
    mesh: Mesh,
    *,
    seed: int,
    batch_size: int,
    notes: dict[str, dict[str, np.ndarray]] | None = None,
    threads: int | None = None,
) -> StreamedFeed:
    """The feed of a split from `load_stored`; its labels go onto every device.

    Args and errors are those of `kdjax.data.resident.place`; `threads` decode, one a
    core where they are left out.
    """
    check_batch_size(batch_size, mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    source = {
        "label": jax.make_array_from_process_local_data(everywhere, split.label),
        "notes": place_notes(notes or {}, mesh, len(split.label)),
    }
    return StreamedFeed(
        split.image,
        source,
        seed=seed,
        batch_size=batch_size,
        process=jax.process_index(),
        processes=jax.process_count(),
        threads=threads,
    )


def _digest(opened: Opened, label: np.ndarray, class_names: tuple[str, ...]) -> str:
    """SHA-256 of class names, labels, and names and sizes of the files.

    Not of every pixel: to read them all takes minutes at every start.
    """
    files = [
        (os.path.basename(part.filename), os.stat(part.filename).st_size)
        for part in opened.files()
    ]
    found = hashlib.sha256(repr((class_names, files)).encode())
    found.update(label.astype("<i4").data)
    return found.hexdigest()
