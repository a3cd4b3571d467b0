"""Correlations between classes, against NumPy's and SciPy's own."""

import numpy as np
import pytest
from scipy import stats

from kdjax.analysis.correlation import class_correlation, correlation_difference


def drawn(seed, classes=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(50, classes)) @ rng.normal(size=(classes, classes)) + 3.0


def test_pearson():
    logits = drawn(0)
    result = class_correlation(np.float32(logits))
    np.testing.assert_allclose(result, np.corrcoef(logits.T), atol=1e-6)
    pair = stats.pearsonr(logits[:, 1], logits[:, 4]).statistic
    assert result[1, 4] == pytest.approx(pair, abs=1e-6)
    assert result.dtype == np.float64 and np.abs(result).max() <= 1


def test_the_difference_is_the_students_minus_the_teachers():
    student, teacher = drawn(1), drawn(2)
    difference = correlation_difference(student, teacher)
    expected = np.corrcoef(student.T) - np.corrcoef(teacher.T)
    np.testing.assert_allclose(difference, expected, atol=1e-12)
    # Scale and offset of a class's logits say nothing of how classes go together.
    moved = 2.5 * teacher - np.arange(6.0)
    np.testing.assert_allclose(correlation_difference(moved, teacher), 0, atol=1e-12)


@pytest.mark.errors
def test_a_constant_class_is_refused():
    logits = drawn(3)
    logits[:, 2] = 0.1
    with pytest.raises(ValueError, match="logits of class 2 are the same on all 50"):
        class_correlation(logits)
