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


class CoarseWithoutFeatures(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, images):
        return nn.Dense(self.classes)(images[:, ::4, ::4].reshape(len(images), -1))


class Staged(nn.Module):
    """A stem and three stages, with every feature that the residual networks have."""

    classes: int
    width: int

    @nn.compact
    def __call__(self, images, train: bool):
        x, features = images, {}
        names = ("stem", "stage1", "stage2", "stage3")
        for name, factor, stride in zip(names, (1, 1, 2, 4), (1, 1, 2, 2), strict=True):
            conv = {"strides": (stride, stride), "use_bias": False}
            x = nn.Conv(factor * self.width, (3, 3), **conv, name=f"{name}_conv")(x)
            norm = {"use_running_average": not train, "momentum": 0.9}
            x = nn.BatchNorm(**norm, name=f"{name}_norm")(x)
            features[f"{name}_preact"] = x
            x = nn.relu(x)
            features[name] = x
        pooled = x.mean((1, 2))
        logits = nn.Dense(self.classes, name="head")(pooled)
        return logits, features | {"pooled": pooled}


class Dropping(nn.Module):
    """Drops half of the pixels while it trains."""

    classes: int

    @nn.compact
    def __call__(self, images, train: bool):
        x = images[:, ::2, ::2].reshape(len(images), -1)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(self.classes)(x), {"pooled": x}


class Pooled(nn.Module):
    """One convolution and a mean: takes images of any size."""

    classes: int

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Conv(4, (3, 3), strides=(2, 2))(images))
        return nn.Dense(self.classes)(x.mean((1, 2)))


class Assorted(nn.Module):
    """Layers of all kinds that networks of one's own have."""

    classes: int

    @nn.compact
    def __call__(self, images, train: bool):
        x = nn.Conv(8, (3, 3))(images)
        x = nn.max_pool(nn.gelu(x), (3, 3), strides=(2, 2), padding="SAME")
        x = nn.Conv(8, (3, 3), feature_group_count=2)(x)
        x = nn.silu(nn.BatchNorm(use_running_average=not train)(x))
        pool = {"strides": (2, 2), "count_include_pad": False}
        x = nn.avg_pool(nn.GroupNorm(2)(x), (2, 2), **pool)
        x = x.reshape(x.shape[0], -1, 8)
        x = x + nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(self.classes)(x.mean(1))


def tiny(num_classes: int, width: int = 8) -> Network:
    return from_linen(Tiny(num_classes, width))


def linear(num_classes: int) -> Network:
    return from_linen(Linear(num_classes))


def coarse(num_classes: int) -> Network:
    return from_linen(Coarse(num_classes))


def coarse_without_features(num_classes: int) -> Network:
    """Of the same weights."""
    return from_linen(CoarseWithoutFeatures(num_classes))


def staged(num_classes: int, width: int = 4) -> Network:
    return from_linen(Staged(num_classes, width))


def dropping(num_classes: int) -> Network:
    return from_linen(Dropping(num_classes))


def pooled(num_classes: int) -> Network:
    return from_linen(Pooled(num_classes))


def assorted(num_classes: int) -> Network:
    return from_linen(Assorted(num_classes))


def eleven_classes() -> Network:
    return tiny(11)
