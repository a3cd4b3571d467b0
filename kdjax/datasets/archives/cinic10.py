"""CINIC-10 (Darlow et al. 2018, arXiv:1810.03505): CIFAR-10's classes, more images."""

import pathlib
import re
from collections.abc import Iterator

from kdjax.datasets import encode
from kdjax.datasets.archives import tar

FILE_NAME = "CINIC-10.tar.gz"
CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_FOLDERS = {"train": "train", "validation": "valid", "test": "test"}


def read_split(path: pathlib.Path, split: str) -> Iterator[tuple[str, bytes, str, str]]:
    """Yields (identity, PNG bytes, class name, "cifar10" or "imagenet") of one split.

    Raises:
      DataError: the archive is truncated, or a picture is not 32 by 32.
    """
    classes = "|".join(CLASS_NAMES)
    pattern = re.compile(
        rf"(?:\./)?(?:CINIC-10/)?{_FOLDERS[split]}/({classes})/([^/]+\.png)"
    )
    for name, content in tar.members(path, lambda n: pattern.fullmatch(n) is not None):
        class_name, file = pattern.fullmatch(name).groups()
        origin = "cifar10" if file.startswith("cifar10") else "imagenet"
        content = encode.as_colour(content, (32, 32), f"{path}: {name}")
        yield f"{class_name}/{file}", content, class_name, origin
