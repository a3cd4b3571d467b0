"""A density integrates to 1 and is that of the distribution its values come from."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.analysis.density import density

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60)


def mass(grid, pdf):
    return np.trapezoid(pdf, grid)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_integrates_to_one(values):
    values = np.array(values)
    if np.ptp(values) < 1e-6:
        return
    for lowest in (None, values.min()):
        grid, pdf = density(values, lowest=lowest)
        assert (pdf >= 0).all() and (np.diff(grid) > 0).all() and len(grid) < 2100
        # What lies beyond four standard deviations is missing at either end.
        assert 1 - 7e-5 < mass(grid, pdf) < 1 + 1e-6
        assert lowest is None or grid[0] == lowest


def test_a_sum_of_gaussians():
    grid, pdf = density([0.0, 3.0], bandwidth=0.5)
    normal = [
        sum(
            math.exp(-2 * (x - v) ** 2) / (0.5 * math.sqrt(2 * math.pi)) for v in (0, 3)
        )
        / 2
        for x in grid
    ]
    np.testing.assert_allclose(pdf, normal, rtol=1e-12)
    assert grid[0] == -2 and grid[-1] == 5


def test_reflected_at_the_lowest():
    grid, pdf = density([0.0, 3.0], bandwidth=0.5, lowest=0.0)
    assert grid[0] == 0
    # Half of the first Gaussian came back: twice its height, and no slope at 0.
    height = 1 / (0.5 * math.sqrt(2 * math.pi))
    assert pdf[0] == pytest.approx(height + math.exp(-18) * height)
    fine = np.interp([0, 0.01], grid, pdf)
    assert fine[1] <= fine[0]


@pytest.mark.parametrize("location, scale", [(0.0, 1.0), (40.0, 0.01)])
def test_of_a_normal_distribution(location, scale):
    values = np.random.default_rng(0).normal(location, scale, 20_000)
    grid, pdf = density(values)
    z = (grid - location) / scale
    expected = np.exp(-(z**2) / 2) / (scale * math.sqrt(2 * math.pi))
    # Silverman's rule smooths a normal by h^2 / 2 of its second derivative.
    assert np.abs(pdf - expected).max() < 0.06 * expected.max()


def test_silverman():
    # One value: the highest point of the density is 1 / (h sqrt(2 pi)).
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    std, quartiles = math.sqrt(2.5), 2.0
    width = 0.9 * min(std, quartiles / 1.349) * 5**-0.2
    grid, _ = density(values)
    assert grid[0] == pytest.approx(-4 * width)
    # Most values alike: the quartiles say nothing, the deviation does.
    values = np.array([1.0] * 9 + [2.0])
    width = 0.9 * values.std(ddof=1) * 10**-0.2
    assert density(values)[0][0] == pytest.approx(1 - 4 * width)


def test_an_outlier_does_not_need_a_million_points():
    values = np.append(np.random.default_rng(0).normal(size=1000), 1e7)
    grid, pdf = density(values)
    assert len(grid) < 2100 and mass(grid, pdf) == pytest.approx(1, abs=1e-4)


@pytest.mark.errors
@pytest.mark.parametrize(
    "values, options, message",
    [
        ([2.0, 2.0], {}, "all 2 values are 2; expected different ones"),
        ([1.0], {}, "all 1 values are 1"),
        ([], {}, "values has n=0"),
        ([1.0, np.nan], {}, "values has 1 of its 2 numbers not finite"),
        ([[1.0, 2.0]], {}, r"values has shape \(1, 2\)"),
        ([-1.0, 2.0], {"lowest": 0.0}, "values go down to -1; expected none below"),
        ([1.0, 2.0], {"bandwidth": 0.0}, "bandwidth is 0"),
    ],
)
def test_refused(values, options, message):
    with pytest.raises(ValueError, match=f"density: {message}"):
        density(values, **options)
