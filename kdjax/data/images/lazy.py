"""Images that stay in their record files and are decoded when they are indexed."""

import concurrent.futures
import functools

import numpy as np

from kdjax.data.images.crops import Geometry, crop_bits
from kdjax.data.images.decode import Unreadable, cut, decode, resize, size_of_jpeg
from kdjax.data.images.fast_crop import crop
from kdjax.data.prefetch import cores
from kdjax.data.split import DataError, SkippedImages
from kdjax.data.tfds.records import OpenSplit, bytes_feature


class LazyImages:
    """A split's images, with the shape of the array that a `Split` in memory has.

    A slice gives evaluation crops, a mask a part of the split, `training_crop` the
    training crop of any sample.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        opened: OpenSplit,
        geometry: Geometry,
        skipped: SkippedImages,
        threads: int = 0,
        records: np.ndarray | None = None,
    ):
        """Reads nothing yet. `threads` decode, 0: one a core.

        The samples are `records`, by position; None: all of them, in their order.
        """
        self.opened, self.geometry, self.skipped = opened, geometry, skipped
        self.threads = threads or cores()
        self._records = np.arange(len(opened.records)) if records is None else records

    def __len__(self) -> int:
        return len(self._records)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self.geometry.size, self.geometry.size, 3

    def __getitem__(self, which: slice | np.ndarray) -> "np.ndarray | LazyImages":
        """Evaluation crops of a slice, uint8 [m, size, size, 3]; or a mask's images."""
        if not isinstance(which, slice):
            settings = self.geometry, self.skipped, self.threads
            return LazyImages(self.opened, *settings, self._records[which])
        indices = range(len(self))[which]
        images = np.empty((len(indices), *self.shape[1:]), np.uint8)
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            for row, image in enumerate(pool.map(self.evaluation_crop, indices)):
                images[row] = image
        return images

    def evaluation_crop(self, index: int) -> np.ndarray:
        """The centre of an image whose short side was resized."""
        try:
            image = decode(self.content(index))
        except Unreadable as error:
            raise DataError(
                f"{self.name_of(index)}: this image cannot be read ({error}). "
                "Training skips such an image; a pass over all samples, as this one "
                "is, may leave none out. `python -m kdjax prepare` leaves it out of "
                "what it writes, from the set's source again or in another format "
                "(`--short_side`, `--pixels`); that is another set, for networks that "
                "are trained on it."
            ) from error
        shape, box = self.geometry.central(*image.shape[:2])
        return cut(resize(image, shape), box, self.geometry.size)

    def training_crop(
        self, seed: int, epoch: int, index: int, into: np.ndarray | None = None
    ) -> tuple[np.ndarray, int]:
        """A sample's crop in an epoch, and the index of the sample it is of.

        Where that cannot be read it is the next one that can, with its own crop, label
        and cached teacher outputs. `into`, uint8 [side, side, 3], takes the crop.
        Raises DataError if more than are allowed cannot be read, or none can.
        """
        if into is None:
            into = np.empty(self.shape[1:], np.uint8)
        for ahead in range(len(self)):
            other = (index + ahead) % len(self)
            bits = crop_bits(seed, epoch, other)
            choose = functools.partial(self.geometry.random, bits=bits)
            try:
                crop(self.content(other), choose, into)
            except Unreadable as error:
                self.skipped.add(self.name_of(other), str(error))
                continue
            return into, other
        raise DataError(f"{self.opened.where}: not one image can be read.")

    def content(self, index: int) -> bytes:
        """The file of an image; raises DataError if its record is damaged."""
        position = int(self._records[index])
        record = self.opened.read_record(position, index)
        try:
            return bytes_feature(record, "image")
        except Exception as error:  # protobuf raises its own
            raise self.opened.unreadable(error, position, index) from error

    def pixels(self, index: int) -> int:
        """How many pixels an image has; raises Unreadable."""
        content = self.content(index)
        height, width = size_of_jpeg(content) or decode(content).shape[:2]
        return height * width

    def name_of(self, index: int) -> str:
        """Index in the split, file and position in it, for errors."""
        return self.opened.name_of(int(self._records[index]), index)
