import warnings

import numpy as np
import pytest
import sklearn.mixture
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.selection.mixture import mixture_posterior, two_means
from tests import reference

FINE = {"max_iter": 100, "tol": 1e-6, "reg_covar": 1e-6}


def two_heaps(seed, low=40, high=25):
    """Losses as they are after a warm-up: a steep heap near 0 and a broad one above."""
    draw = np.random.default_rng(seed)
    values = np.append(draw.exponential(0.3, low), draw.gamma(9, 0.4, high))
    return draw.permutation(values)


@pytest.mark.parametrize("seed", range(12))
def test_two_means_is_the_best_split(seed):
    values = two_heaps(seed)
    expected = reference.best_split(values)
    assert 10 < expected.sum() < 40  # else the comparison says little
    np.testing.assert_array_equal(two_means(values), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 200), st.sampled_from([0.3, 1.0, 2.0]))
def test_two_means_stands_still(seed, samples, spread):
    values = np.random.default_rng(seed).lognormal(sigma=spread, size=samples)
    high = two_means(values)
    assert 0 < high.sum() < samples
    middle = (values[high].mean() + values[~high].mean()) / 2
    np.testing.assert_array_equal(high, values > middle)


def test_two_means_on_a_large_set_stops_at_the_best_threshold():
    # With scikit-learn's default tolerance the threshold ends elsewhere here.
    values = np.random.default_rng(0).lognormal(0, 1.5, 50_000)
    ordered = np.sort(values)
    count = np.arange(1, len(values))
    total = np.cumsum(ordered)
    between = total[:-1] ** 2 / count + (total[-1] - total[:-1]) ** 2 / count[::-1]
    assert two_means(values).sum() == len(values) - 1 - np.argmax(between)


@pytest.mark.parametrize("seed", range(6))
def test_mixture_is_the_fixed_point_of_expectation_maximisation(seed):
    draw = np.random.default_rng(seed)
    values = np.append(draw.normal(0.9, 0.03, 80), draw.normal(0.4, 0.15, 40))
    values = draw.permutation(values)
    expected = reference.mixture_of_two(
        values, reference.best_split(values), steps=5000, tolerance=1e-13, floor=1e-6
    )
    assert 50 < (expected > 0.5).sum() < 100
    high = mixture_posterior(values, larger=True, **FINE)
    np.testing.assert_allclose(high, expected, atol=0.01)
    low = mixture_posterior(values, larger=False, **FINE)
    np.testing.assert_allclose(low + high, 1, rtol=1e-12)


def test_the_order_of_the_values_decides_nothing():
    values = two_heaps(0)
    order = np.random.default_rng(1).permutation(len(values))
    np.testing.assert_array_equal(two_means(values)[order], two_means(values[order]))
    settings = {**FINE, "max_iter": 3}
    first = mixture_posterior(values, larger=True, **settings)
    again = mixture_posterior(values[order], larger=True, **settings)
    np.testing.assert_array_equal(first[order], again)


def test_a_fit_cut_short_says_nothing_and_hides_no_other_warning(monkeypatch):
    def fit():
        short = {"max_iter": 1, "tol": 0, "reg_covar": 1e-6}
        return mixture_posterior(two_heaps(0), larger=True, **short)

    fit()  # warnings are errors here

    class Noisy(sklearn.mixture.GaussianMixture):
        def fit(self, values):
            warnings.warn("of another kind", RuntimeWarning, stacklevel=1)
            return super().fit(values)

    monkeypatch.setattr(sklearn.mixture, "GaussianMixture", Noisy)
    with pytest.warns(RuntimeWarning, match="of another kind"):
        fit()
