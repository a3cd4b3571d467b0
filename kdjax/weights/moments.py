"""A network on images that were normalised by another mean and deviation than its own.

Teacher and students of a run see the same arrays. Where the teacher's weights come from
elsewhere, so do its mean and standard deviation; they need not be the students'.
"""

import numpy as np

from kdjax.models.network import Network

Moments = dict[str, list[float]]  # mean and std of each channel, of pixels from 0 to 1


def renormalised(network: Network, given: Moments, own: Moments) -> Network:
    """The network, evaluated on images that `given` normalised instead of its `own`.

    With x = (p - m) / s the pixels p give (x s + m - m') / s' under (m', s'): one
    product and one sum a number. Black borders of crops are pixels too, so this is
    exact for them.

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
