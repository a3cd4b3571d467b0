"""Bases of the builders that read official archives."""

import pathlib
from collections.abc import Iterator

import tensorflow_datasets as tfds

from kdjax.data.errors import DataError


class ArchiveBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the builders: reads `FILES` from one directory and counts examples."""

    # Each entry is one complete choice of files; the first is what is downloaded.
    FILES: tuple[tuple[str, ...], ...]
    SIZES: dict[str, int]

    def __init__(self, *, archives: pathlib.Path | None = None, **arguments):
        self._archives = archives
        super().__init__(file_format="array_record", **arguments)

    def _split_generators(self, dl_manager):
        return {split: self._counted(split) for split in self.SIZES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int | str, dict]]:
        raise NotImplementedError

    def _counted(self, split: str) -> Iterator[tuple[int | str, dict]]:
        count = 0
        for item in self._generate_examples(split):
            yield item
            count += 1
        if count != self.SIZES[split]:
            raise DataError(
                f"{self.name}: {split} has {count} examples in {self._archives}; "
                f"expected {self.SIZES[split]}. The archive is not the official one, "
                "or not whole."
            )

    def _path(self) -> pathlib.Path:
        """The archive of a set that is one file: the first choice that is there."""
        paths = [self._archives / files[0] for files in self.FILES]
        return next(path for path in paths if path.is_file())


def described(builder, description: str, homepage: str, features: dict):
    """What TFDS writes beside the records of a labelled set of images."""
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        homepage=homepage,
        features=tfds.features.FeaturesDict(features),
        supervised_keys=("image", "label"),
    )
