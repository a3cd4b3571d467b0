"""Small networks for the tests of everything that is not a network."""

from flax import linen as nn

from kdjax.models import Network, from_linen


class Tiny(nn.Module):
    """Two strided convolutions with batch norm: compiles in a second."""

    classes: int
    width: int

    @nn.compact
    def __call__(self, images, train: bool):
        x = images
        for _ in range(2):
            x = nn.Conv(self.width, (3, 3), strides=(2, 2), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        pooled = x.mean((1, 2))
        return nn.Dense(self.classes)(pooled), {"pooled": pooled}


class Linear(nn.Module):
    """No batch norm at all: its batch_stats are empty."""

    classes: int

    @nn.compact
    def __call__(self, images):
        return nn.Dense(self.classes)(images.reshape(len(images), -1))


class Coarse(nn.Module):
    """Linear in every fourth pixel: compiles at once, and has features to look at."""

    classes: int

    @nn.compact
    def __call__(self, images):
        pixels = images[:, ::4, ::4].reshape(len(images), -1)
        return nn.Dense(self.classes)(pixels), {"pooled": pixels}


class Pooled(nn.Module):
    """One convolution and a mean: takes images of any size."""

    classes: int

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Conv(4, (3, 3), strides=(2, 2))(images))
        return nn.Dense(self.classes)(x.mean((1, 2)))


def tiny(num_classes: int, width: int = 8) -> Network:
    return from_linen(Tiny(num_classes, width))


def linear(num_classes: int) -> Network:
    return from_linen(Linear(num_classes))


def coarse(num_classes: int) -> Network:
    return from_linen(Coarse(num_classes))


def pooled(num_classes: int) -> Network:
    return from_linen(Pooled(num_classes))


def eleven_classes() -> Network:
    return tiny(11)
