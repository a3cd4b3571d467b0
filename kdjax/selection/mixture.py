"""One number per sample in two groups; DivideMix: which labels to believe by losses.

J. Li, R. Socher, S. C. H. Hoi, "DivideMix: Learning with Noisy Labels as Semi-
supervised Learning", ICLR 2020 (arXiv:2002.07394), section 3.1; coupled with a detector
as in the code of Kim et al., "Winning Ticket in Noisy Image Classification", 2021.
"""

import warnings

import numpy as np

from kdjax import contracts
from kdjax.selection.types import Mask, Scalars, checked_mask, checked_scalars

# Losses that differ by less, in nats, do not differ: the logits are float32.
LOSS_RESOLUTION = 1e-6


def two_means(values: Scalars) -> Mask:
    """k-means with k = 2: True in the cluster with the larger mean.

    Of finite values, at least two different ones; run until it stands still, best of
    ten starts from seed 0.
    """
    from sklearn.cluster import KMeans  # takes a second, and most runs select nothing

    # The default tolerance stops short of the best threshold on large sets.
    kmeans = KMeans(2, n_init=10, tol=0, random_state=0).fit(np.sort(values)[:, None])
    return kmeans.predict(values[:, None]) == np.argmax(kmeans.cluster_centers_)


def mixture_posterior(
    values: Scalars, *, larger: bool, max_iter: int, tol: float, reg_covar: float
) -> Scalars:
    """Two Gaussians by expectation maximisation; posterior of one of them.

    Of finite values, at least two different ones; of the component with the larger
    mean, or else with the smaller. `tol` ends the fit once the mean log-likelihood,
    nats, gains less in a step; `reg_covar` is added to both variances.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        2, max_iter=max_iter, tol=tol, reg_covar=reg_covar, random_state=0
    )
    with warnings.catch_warnings():  # to end at max_iter is part of a recipe
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(np.sort(values)[:, None])
    pick = np.argmax if larger else np.argmin
    return mixture.predict_proba(values[:, None])[:, pick(mixture.means_)]


def clean_probability(losses: Scalars) -> Scalars:
    """How likely each label is right, by its loss: DivideMix's w.

        w_i = p(low-mean component | (l_i - min l) / (max l - min l))

    Two Gaussians fitted in at most 10 steps, tolerance 1e-2, variances regularised by
    5e-4, seed 0: the settings of the authors' code. Losses, in nats, that do not differ
    show no noise: w = 1 for all. w is not always decreasing in the loss: the broader
    Gaussian wins on both sides.

    >>> print(clean_probability([0.1, 0.2, 0.1, 0.3, 4.0, 5.0]).round(3))
    [1. 1. 1. 1. 0. 0.]
    """
    losses = checked_scalars("clean_probability", "losses", losses)
    spread = np.ptp(losses)
    if spread <= LOSS_RESOLUTION:
        return np.ones(len(losses))
    unit = (losses - losses.min()) / spread
    return mixture_posterior(unit, larger=False, max_iter=10, tol=1e-2, reg_covar=5e-4)


def labelled_weights(
    probabilities: Scalars, kept: Mask, threshold: float = 0.5
) -> Scalars:
    """DivideMix's labelled set, cut to what a detector keeps.

        w_i   where w_i > threshold and sample i is kept,   else 0

    A positive weight: labelled for the *other* network, and the weight is the share of
    the given label when labels are refined. Zero: unlabelled.

    Probabilities are those of `clean_probability`, or for F-DivideMix those of
    `kdjax.selection.fine.aligned_probability`; `kept` is a detector's `keep`.
    """
    where = "labelled_weights"
    probabilities = checked_scalars(where, "probabilities", probabilities)
    kept = checked_mask(where, "kept", kept, len(probabilities))
    contracts.fraction(where, "threshold", threshold)
    bad = np.flatnonzero((probabilities < 0) | (probabilities > 1))
    if bad.size:
        raise ValueError(
            f"{where}: probabilities[{bad[0]}] is {probabilities[bad[0]]:g}; expected "
            "0 to 1. clean_probability makes them of losses."
        )
    return np.where((probabilities > threshold) & kept, probabilities, 0.0)
