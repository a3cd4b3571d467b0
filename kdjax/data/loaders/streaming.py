"""The loader for sets that do not fit: threads decode while the devices compute."""

import concurrent.futures

import grain
import numpy as np

from kdjax.data.images.lazy import LazyImages
from kdjax.data.loaders.sampler import sample_positions

_STEPS = 1 << 40  # more than any run has
_CHUNK = 8  # images that one thread decodes of a batch before it takes the next


class StreamingLoader:
    """A split on disk, and the crops of its samples that a step takes.

    Made by `make_loader`. A batch_spec depends on its step's number alone: steps may
    come again and in any order, but one after the other they are decoded ahead.
    """

    def __init__(
        self,
        images: LazyImages,
        source: dict,
        *,
        seed: int,
        batch_size: int,
        process: int = 0,
        processes: int = 1,
        threads: int = 0,
    ):
        """Starts no thread yet; arguments are those of `loader.make_loader`.

        `source` is on the devices. Each of `processes` decodes its own rows of a batch.
        """
        self.images, self.source, self.seed = images, source, seed
        self.batch_size, self.num_examples = batch_size, len(images)
        self.parts = processes
        rows = batch_size // processes
        self._rows = slice(process * rows, (process + 1) * rows)
        self.threads = threads or images.threads
        self._start()

    def batch_spec(self, step: int) -> dict[str, np.ndarray]:
        """This process's rows of step number `step`.

        index and epoch, int32 [b], and image, uint8 [b, side, side, 3], with the side
        of the epoch that the step starts in.
        """
        if self._stream is None:
            batches = self.batches_ahead()
            options = grain.ReadOptions(batches, batches)
            steps = grain.MapDataset.range(_STEPS).map(self._batch)
            self._stream = iter(steps.to_iter_dataset(options))
        if step != self._next:
            self._stream.set_state({"next_index": step})
        self._next = -1  # unless this one comes, the next starts anew
        batch_spec = next(self._stream)
        self._next = step + 1
        return batch_spec

    def batch_spec_of(
        self, index: np.ndarray, epoch: np.ndarray, side: int | None = None
    ) -> dict[str, np.ndarray]:
        """The batch_spec of any samples in any epochs, decoded here and now.

        Where an image cannot be read, `index` is that of the one in its place. `side`
        is that of the crops; None: that of evaluation.
        """
        side = side or self.images.geometry.size
        image = np.empty((len(index), side, side, 3), np.uint8)
        used = np.empty(len(index), np.int32)
        samples = list(zip(epoch.tolist(), index.tolist(), strict=True))

        def fill(first: int) -> None:
            for row, sample in enumerate(samples[first : first + _CHUNK], first):
                _, used[row] = self.images.training_crop(self.seed, *sample, image[row])

        for _ in self._pool.map(fill, range(0, len(samples), _CHUNK)):
            pass  # waits, and raises what a thread has raised
        return {"index": used, "epoch": np.asarray(epoch, np.int32), "image": image}

    def batches_ahead(self) -> int:
        """Batches in memory before a step's: two, and what gives every thread work."""
        rows = self.batch_size // self.parts
        return 2 + -(-2 * self.threads // -(-rows // _CHUNK))

    def close(self) -> None:
        """Ends the threads; `batch_spec` starts them again."""
        if self._stream is not None:
            self._stream.close()
        self._pool.shutdown(cancel_futures=True)
        self._start()

    def _start(self) -> None:
        """A pool without a thread, until something is to be decoded."""
        self._pool = concurrent.futures.ThreadPoolExecutor(self.threads, "decode")
        self._stream, self._next = None, -1

    def _batch(self, step: int) -> dict[str, np.ndarray]:
        positions = self.seed, step, self.batch_size, self.num_examples
        index, epoch = sample_positions(*positions)
        # One size a step: of the epoch that it starts in, in every process.
        side = self.images.geometry.size_at(int(epoch[0]))
        return self.batch_spec_of(index[self._rows], epoch[self._rows], side)
