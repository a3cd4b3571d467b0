"""One number per sample, split in two groups, whatever the order of the samples.

scikit-learn is imported where it is used: it takes a second.
"""

import warnings

import numpy as np

from kdjax.selection.evidence import Mask, Scalars


def two_means(values: Scalars) -> Mask:
    """k-means with k = 2: True in the cluster with the larger mean.

    Of finite values, at least two different ones; run until it stands still, best of
    ten starts from seed 0.
    """
    from sklearn.cluster import KMeans

    # The default tolerance stops short of the best threshold on large sets.
    kmeans = KMeans(2, n_init=10, tol=0, random_state=0).fit(np.sort(values)[:, None])
    return kmeans.predict(values[:, None]) == np.argmax(kmeans.cluster_centers_)


def mixture_posterior(
    values: Scalars, *, larger: bool, max_iter: int, tol: float, reg_covar: float
) -> Scalars:
    """Two Gaussians by expectation maximisation; posterior of one of them.

    Args:
      values: finite, at least two different ones.
      larger: of the component with the larger mean, or else with the smaller.
      max_iter: steps at most.
      tol: ends the fit once the mean log-likelihood (nats) gains less in a step.
      reg_covar: added to either variance, in squared units of `values`.
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
