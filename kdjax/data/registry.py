"""The data sets that kdjax knows: who prepares them, their statistics and sizes.

To add a set that TFDS does not have: a subclass of `ArchiveBuilder` in
`kdjax/datasets/archives/NAME.py` (`cinic10.py` is a short one), and an entry of
`DATASETS` here. `prepare`, training, `evaluate` and `compile` then know the set.
"""

from typing import NamedTuple

import numpy as np

from kdjax.data.transforms.augment import Augment


class Sizes(NamedTuple):
    """Of a training split; None: not known."""

    image_size: int | None = None  # pixels of a side
    classes: int | None = None
    examples: int | None = None
    channels: int = 3


class Dataset(NamedTuple):
    """One known data set."""

    builder: str  # module in `kdjax.datasets` and class, imported by `prepare` alone
    augment: Augment  # mean, standard deviation and crop that papers train with
    sizes: Sizes  # as its authors published them
    streamed: bool = False  # too large to measure at every start; crops on the host


def _augment(mean, std, padding: int = 4) -> Augment:
    return Augment(mean=mean, std=std, padding=padding, flip=True)


_FASHION = _augment((0.2860,), (0.3530,), padding=2)
DATASETS = {
    "fashion_mnist_subset": Dataset(
        "archives.fashion_mnist:FashionMnistSubset", _FASHION, Sizes()
    ),  # always there, so that its sizes are read
    "fashion_mnist": Dataset(
        "archives.fashion_mnist:FashionMnist", _FASHION, Sizes(28, 10, 60_000, 1)
    ),
    "cifar10": Dataset(
        "archives.cifar:Cifar10",
        _augment((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        Sizes(32, 10, 50_000),
    ),
    # RepDistiller has (0.5071, 0.4867, 0.4408) and (0.2675, 0.2565, 0.2761) instead.
    "cifar100": Dataset(
        "archives.cifar:Cifar100",
        _augment((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        Sizes(32, 100, 50_000),
    ),
    "cinic10": Dataset(
        "archives.cinic10:Cinic10",
        _augment(
            (0.47889522, 0.47227842, 0.43047404), (0.24205776, 0.23828046, 0.25874835)
        ),
        Sizes(32, 10, 90_000),
    ),
    "tiny_imagenet": Dataset(
        "archives.tiny_imagenet:TinyImagenet",
        _augment((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)),
        Sizes(64, 200, 100_000),
    ),
    "imagenet2012": Dataset(
        "imagenet:Imagenet2012",
        _augment((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), padding=0),
        Sizes(None, 1000, 1_281_167),  # its crops are of any size
        streamed=True,
    ),
}
AUGMENTS = {name: d.augment for name, d in DATASETS.items() if not d.streamed}
STREAMED = {name: d.augment for name, d in DATASETS.items() if d.streamed}


def measured_augment(image: np.ndarray, *, padding: int, flip: bool) -> Augment:
    """An `Augment` with the mean and spread of `image` uint8 [n, h, w, c] itself.

    Exact whatever the size: counts the 256 values instead of adding pixels up.

    >>> image = np.array([0, 51, 102, 255], np.uint8).reshape(1, 2, 2, 1)
    >>> round(measured_augment(image, padding=0, flip=False).mean[0], 6)
    0.4
    """
    level = np.arange(256) / 255
    mean, std = (), ()
    for channel in range(image.shape[-1]):
        count = np.bincount(image[..., channel].ravel(), minlength=256)
        centre = np.average(level, weights=count)
        mean += (float(centre),)
        std += (float(np.sqrt(np.average((level - centre) ** 2, weights=count))),)
    return Augment(mean=mean, std=std, padding=padding, flip=flip)
