"""The base of TFDS builders that read official archives; needs no TensorFlow.

Where TFDS has a builder of the same name, version and features are the same, so that
TFDS reads what these prepared. They are not put into TFDS's registry.
"""

import importlib
import pathlib
from collections.abc import Iterator

import tensorflow_datasets as tfds

from kdjax.data.registry import DATASETS
from kdjax.data.split import DataError


def builder_class(name: str) -> type[tfds.core.DatasetBuilder]:
    """The builder of a set in `kdjax.data.registry.DATASETS`."""
    module, attribute = DATASETS[name].builder.split(":")
    return getattr(importlib.import_module(f"kdjax.datasets.{module}"), attribute)


class ArchiveBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Reads `FILES` from one directory and counts examples."""

    FILES: tuple[tuple[str, ...], ...]  # complete choices; the first is downloaded
    URL: str  # the directory in which the first choice is published
    SUMS: tuple[str, ...]  # of its files, SHA-256 or MD5
    SIZES: dict[str, int]  # split -> number of examples

    def __init__(self, *, archives: pathlib.Path | None = None, log=None, **arguments):
        """`archives` holds the files; nothing takes so long that it is logged."""
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
        """The archive of a set that is one file: the first choice that exists."""
        paths = [self._archives / files[0] for files in self.FILES]
        return next(path for path in paths if path.is_file())

    def _set_class_names(self, feature: str, names: list[str]) -> None:
        """Names the classes of a feature as the archive does."""
        expected = self.info.features[feature].num_classes
        if len(names) != expected:
            raise DataError(
                f"{self._path()}: names {len(names)} classes of {feature}; expected "
                f"{expected}. Is it the file that its name says?"
            )
        self.info.features[feature].names = names


def dataset_info(builder, description: str, homepage: str, **features):
    """What TFDS writes beside the records of a labelled set of images."""
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        homepage=homepage,
        features=tfds.features.FeaturesDict(features),
        supervised_keys=("image", "label"),
    )
