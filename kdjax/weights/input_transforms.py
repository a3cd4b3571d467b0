"""A teacher whose images or classes are not those of its students.

The parameters stay as they are; what goes in or the order of the logits changes.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.contracts import InputError
from kdjax.models.network import Network

# Names that image libraries have, and jax.image's.
METHODS = {"bilinear": "linear", "bicubic": "cubic", "lanczos3": "lanczos3"}
Moments = dict[str, list[float]]  # mean and std of each channel, of pixels from 0 to 1


def renormalised(network: Network, given: Moments, own: Moments) -> Network:
    """The network, evaluated on images that `given` normalised instead of its `own`.

    With x = (p - m) / s the pixels p give (x s + m - m') / s' under (m', s'): exact for
    the black borders of crops too, which are pixels.

    >>> shifted = Network(None, None, lambda params, stats, images: images)
    >>> ours, theirs = {"mean": [0.5], "std": [0.25]}, {"mean": [0.0], "std": [1.0]}
    >>> pixels = renormalised(shifted, ours, theirs)  # of mean 0 and deviation 1
    >>> pixels.evaluate({}, {}, np.full((1, 1, 1, 1), 2.0, np.float32)).item()
    1.0
    """
    mean, std = (np.asarray(given[key], np.float64) for key in ("mean", "std"))
    own_mean, own_std = (np.asarray(own[key], np.float64) for key in ("mean", "std"))
    factor = (std / own_std).astype(np.float32)[None, None, None, :]
    offset = ((mean - own_mean) / own_std).astype(np.float32)[None, None, None, :]

    def evaluate(params, batch_stats, images):
        return network.evaluate(params, batch_stats, images * factor + offset)

    return network._replace(evaluate=evaluate)


def resized(network: Network, size: tuple[int, int], method: str) -> Network:
    """The network, evaluated on images resized to `size`, (height, width).

    Shrinking widens the filter by the factor (antialias), as Pillow does. The weights
    of a pixel's sources sum to 1, so normalising before or after is the same. `method`
    is a key of METHODS.

    >>> identity = Network(None, None, lambda params, stats, images: images)
    >>> small = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> resized(identity, (1, 1), "bilinear").evaluate({}, {}, small).item()
    1.5
    """
    if method not in METHODS:
        raise InputError(f"resize is {method!r}; expected one of {', '.join(METHODS)}.")

    def evaluate(params, batch_stats, images):
        shape = (images.shape[0], *size, images.shape[3])
        images = jax.image.resize(images, shape, METHODS[method], antialias=True)
        return network.evaluate(params, batch_stats, images)

    def freeze(params, batch_stats, image_shape):
        batch, _, _, channels = image_shape
        return network.freeze(params, batch_stats, (batch, *size, channels))

    return network._replace(evaluate=evaluate, freeze=freeze)


def reordered(network: Network, places: Sequence[int]) -> Network:
    """The network with its logits in another order, or with some of them left out.

    `places` are, for each class of the students, which of the network's logits it is.
    """
    where = np.asarray(places, np.int32)

    def evaluate(params, batch_stats, images):
        outputs = network.evaluate(params, batch_stats, images)
        members = outputs.member_logits
        if members is not None:
            members = jnp.take(members, where, axis=-1)
        logits = jnp.take(outputs.logits, where, axis=-1)
        return outputs._replace(logits=logits, member_logits=members)

    return network._replace(evaluate=evaluate)


def places_of(
    theirs: Sequence[str],
    ours: Sequence[str],
    whose: tuple[str, str] = ("teacher", "run"),
) -> list[int]:
    """Where each of our classes is among theirs, whose names must be different.

    `whose` says in errors who they and we are.

    >>> places_of(["cat", "dog", "emu"], ["emu", "cat"])
    [2, 0]
    """
    index = {name: place for place, name in enumerate(theirs)}
    if len(index) < len(theirs):
        twice = next(name for name in theirs if theirs.count(name) > 1)
        raise InputError(f"the {whose[0]}'s class {twice!r} is named twice.")
    missing = [name for name in ours if name not in index]
    if missing:
        raise InputError(
            f"{len(missing)} of the {whose[1]}'s {len(ours)} classes are none of the "
            f"{whose[0]}'s {len(theirs)}: {', '.join(map(repr, missing[:5]))}; the "
            f"{whose[0]}'s begin {', '.join(map(repr, theirs[:3]))}."
        )
    return [index[name] for name in ours]
