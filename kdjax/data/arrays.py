"""Images and labels in memory as a split: arrays, or what gives (image, label)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdjax.data.images.pillow import as_array, is_pillow
from kdjax.data.split import DataError, Split, check_labels, in_memory

IMAGE_KEYS, LABEL_KEYS = ("image", "img", "pixel_values"), ("label", "labels", "target")
EXPECTED = "whole numbers from 0 to 255, [height, width] or [height, width, channels]"


def splits_of(data: Mapping[str, Any]) -> dict[str, Split]:
    """Split name -> its images and labels, as uint8 and int32.

    A value is (images [n, h, w, c] or [n, h, w], labels [n]); or anything with a length
    whose items are (image, label), as of torchvision, or {"image", "label"}, as of
    Hugging Face's datasets; images are arrays, or Pillow's, whose modes other than L
    become RGB. Names of classes are taken from `features` or `classes`, where a split
    has them; else they are numbers.

    Raises:
      DataError: images that are not of 8 bits or not of one size, labels that are not
        whole numbers or out of range, splits whose classes differ.

    >>> images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 1, 0])
    >>> split = splits_of({"train": (images, labels)})["train"]
    >>> split.image.shape, split.class_names
    ((4, 8, 8, 3), ('0', '1'))
    """
    arrays = {name: _arrays(f"data[{name!r}]", one) for name, one in data.items()}
    names = _common_names(data)
    if not names:
        largest = max(int(labels.max(initial=0)) for _, labels in arrays.values())
        if largest >= 2**16:
            raise DataError(f"data: a label is {largest}; expected classes from 0 on.")
        names = tuple(map(str, range(largest + 1)))
    for name, (_, labels) in arrays.items():
        advice = "Number the classes from 0 on."
        check_labels(f"data[{name!r}]: label", labels, len(names), advice)
    return {
        name: in_memory(
            images, labels.astype(np.int32), names, name="arrays", split=name
        )
        for name, (images, labels) in arrays.items()
    }


def _common_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the classes; () where no split has them. DataError where they differ.

    A folder that lacks a class, or sorts them otherwise, would give labels that are
    right by number and wrong by name.
    """
    named = {split: _class_names(one) or () for split, one in data.items()}
    longest = max(named, key=lambda split: len(named[split]))
    for split, names in named.items():
        if names != named[longest][: len(names)]:
            raise DataError(
                f"data[{split!r}] has the classes {_few(names)}, and data[{longest!r}] "
                f"{_few(named[longest])}; expected the same ones in the same order."
            )
    return named[longest]


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _arrays(where: str, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [n, h, w, c], whole numbers [n]), checked."""
    images, labels = _images_and_labels(where, data)
    if images.ndim == 3:
        images = images[..., None]
    is_bytes = images.dtype == np.uint8 or (
        images.dtype.kind in "iu" and images.size and _within_bytes(images)
    )
    if images.ndim != 4 or not images[:1].size or not is_bytes:
        raise DataError(
            f"{where}: images are {images.dtype} of shape {images.shape}; expected "
            f"{EXPECTED}, one for each sample. Of floats in [0, 1] give "
            "np.round(255 * images).astype(np.uint8); kdjax normalises them itself."
        )
    if images.shape[1] in (1, 3) and images.shape[-1] > 4:
        raise DataError(
            f"{where}: images are of shape {images.shape}, with channels first; "
            "expected [n, height, width, channels]: images.transpose(0, 2, 3, 1)."
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; expected "
            f"whole numbers of shape ({len(images)},), a class for each image."
        )
    return images.astype(np.uint8), labels


def _images_and_labels(where: str, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """The arrays of a pair of them, or of samples, not checked yet."""
    if not isinstance(data, tuple) or len(data) != 2:
        return _collected(where, data)
    images, labels = data
    if isinstance(images, list) and (_is_ragged(images) or any(map(is_pillow, images))):
        unlabelled = [(image, 0) for image in images]
        return _collected(where, unlabelled)[0], np.asarray(labels)
    if not _is_ragged(images) and np.ndim(images) in (3, 4):
        return np.asarray(images), np.asarray(labels)
    return _collected(where, data)


def _is_ragged(images: Any) -> bool:
    """Whether NumPy finds no common shape: images of several sizes, or a sample."""
    try:
        np.ndim(images)
    except ValueError:
        return True
    return False


def _within_bytes(images: np.ndarray) -> bool:
    return 0 <= images.min() and images.max() <= 255


def _collected(where: str, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """What an indexable of (image, label) has, one after the other."""
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")) or not len(data):
        raise DataError(
            f"{where} is {type(data).__name__}; expected (images, labels), or what has "
            "a length, 1 or more, and items (image, label)."
        )
    images, labels = [], []
    for number in range(len(data)):
        image, label = _pair(f"{where}[{number}]", data[number])
        if images and image.shape != images[0].shape:
            raise DataError(
                f"{where}[{number}]: the image has shape {image.shape}, and the first "
                f"one {images[0].shape}; expected one size and number of channels. "
                "Resize them, or stream a folder: `kdjax prepare NAME --folder=DIR`."
            )
        images.append(image)
        labels.append(label)
    return np.stack(images), np.array(labels)


def _pair(where: str, item: Any) -> tuple[np.ndarray, int]:
    if isinstance(item, Mapping):
        keys = [next((k for k in ks if k in item), None) for ks in _KEYS]
        if None in keys:
            raise DataError(
                f"{where} has {', '.join(map(str, item))}; expected image and label."
            )
        item = tuple(item[key] for key in keys)
    if not isinstance(item, Sequence) or len(item) != 2:
        raise DataError(
            f"{where} is {type(item).__name__}; expected (image, label) or a mapping "
            "with image and label."
        )
    image, label = item
    image = as_array(image) if is_pillow(image) else np.asarray(image)
    label = np.asarray(label)
    if image.ndim not in (2, 3) or image.dtype.kind not in "iu":
        raise DataError(
            f"{where}: the image is {image.dtype} of shape {image.shape}; expected "
            f"{EXPECTED}. Leave out what makes floats of it, such as ToTensor."
        )
    if label.size != 1 or label.dtype.kind not in "iu":
        raise DataError(f"{where}: the label is {item[1]!r}; expected a whole number.")
    return image, int(label.reshape(()))


_KEYS = IMAGE_KEYS, LABEL_KEYS


def _class_names(data: Any) -> tuple[str, ...] | None:
    """Of Hugging Face's `features["label"].names`, or torchvision's `classes`."""
    names = getattr(data, "classes", None)
    features = getattr(data, "features", None)
    if isinstance(features, Mapping):
        kinds = (features[key] for key in LABEL_KEYS if key in features)
        names = next((getattr(kind, "names", None) for kind in kinds), names)
    if not isinstance(names, list | tuple) or not names:
        return None
    return tuple(map(str, names))
