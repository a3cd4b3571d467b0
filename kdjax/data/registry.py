"""Mean, spread and crop of the sets we know: what the papers trained with."""

import numpy as np

from kdjax.data.transforms.augment import Augment

_FASHION = Augment(mean=(0.2860,), std=(0.3530,), padding=2, flip=True)

AUGMENTS = {
    "fashion_mnist": _FASHION,
    "fashion_mnist_subset": _FASHION,
    "cifar10": Augment(
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        padding=4,
        flip=True,
    ),
    # RepDistiller has (0.5071, 0.4867, 0.4408) and (0.2675, 0.2565, 0.2761) instead.
    "cifar100": Augment(
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        padding=4,
        flip=True,
    ),
    "cinic10": Augment(
        mean=(0.47889522, 0.47227842, 0.43047404),
        std=(0.24205776, 0.23828046, 0.25874835),
        padding=4,
        flip=True,
    ),
    "tiny_imagenet": Augment(
        mean=(0.4802, 0.4481, 0.3975),
        std=(0.2770, 0.2691, 0.2821),
        padding=4,
        flip=True,
    ),
}

# Of sets too large to measure at every start; their crops are made on the host.
STREAMED = {
    "imagenet2012": Augment(
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        padding=0,
        flip=True,
    ),
}


def measured_augment(image: np.ndarray, *, padding: int, flip: bool) -> Augment:
    """An `Augment` with the mean and spread of `image` uint8 [n, h, w, c] itself.

    Exact whatever the size: counts the 256 values instead of adding pixels up.

    >>> image = np.array([0, 51, 102, 255], np.uint8).reshape(1, 2, 2, 1)
    >>> round(measured_augment(image, padding=0, flip=False).mean[0], 6)
    0.4
    """
    level = np.arange(256) / 255
    mean, std = [], []
    for channel in range(image.shape[-1]):
        count = np.bincount(image[..., channel].ravel(), minlength=256)
        centre = np.average(level, weights=count)
        mean.append(float(centre))
        std.append(float(np.sqrt(np.average((level - centre) ** 2, weights=count))))
    return Augment(mean=tuple(mean), std=tuple(std), padding=padding, flip=flip)
