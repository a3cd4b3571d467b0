"""Densities of what an analysis finds, in float64."""

from typing import Any

import numpy as np

from kdjax import contracts
from kdjax.analysis.student_teacher import finite

# Bandwidths in the range of the values, at most: no figure shows more detail.
_FINEST = 1000


def density(
    values: Any, *, bandwidth: float | None = None, lowest: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian kernel density of values [n]: (grid [m], density [m]).

    By the trapezoid rule it integrates to 1 over the grid, which rises and reaches four
    bandwidths beyond the values.

    Values are finite, at least two different ones. `bandwidth` is a Gaussian's standard
    deviation; when left out Silverman's 0.9 min(std, interquartile range / 1.349)
    n^(-1/5) (1986, equation 3.31), but not below a thousandth of the values' range. No
    value can be below `lowest` (0 for distances): what a Gaussian has there is
    reflected at it, and the grid starts there.

    >>> grid, pdf = density([1.0, 2.0, 4.0])
    >>> round(float(np.trapezoid(pdf, grid)), 4)
    1.0
    """
    from scipy import stats  # only when a figure is drawn

    contracts.shapes("density", values=(values, "n"))
    values = finite("density", "values", values)
    if not np.ptp(values) > 0:
        came = f"all {len(values)} values are {values[0]:g}"
        raise ValueError(f"density: {came}; expected different ones.")
    if lowest is not None and values.min() < lowest:
        came = f"values go down to {values.min():g}"
        raise ValueError(f"density: {came}; expected none below lowest={lowest:g}.")
    if bandwidth is None:
        lower, upper = np.quantile(values, [0.25, 0.75])
        spreads = [np.std(values, ddof=1), (upper - lower) / 1.349]
        narrow = min(spread for spread in spreads if spread > 0)
        bandwidth = max(0.9 * narrow * len(values) ** -0.2, np.ptp(values) / _FINEST)
    contracts.positive("density", "bandwidth", bandwidth)
    left, right = values.min() - 4 * bandwidth, values.max() + 4 * bandwidth
    left = left if lowest is None else max(left, lowest)
    # Two points a bandwidth: enough for the trapezoid rule to be exact to 1e-8.
    grid = np.linspace(left, right, int(np.ceil(2 * (right - left) / bandwidth)) + 1)
    # Centred, for SciPy divides by the bandwidth before it takes differences.
    centre = values.mean()
    kde = stats.gaussian_kde(values - centre, bandwidth / np.std(values, ddof=1))
    pdf = kde(grid - centre)
    if lowest is not None:
        pdf += kde(2 * lowest - grid - centre)
    return grid, pdf
