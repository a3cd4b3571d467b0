import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.selection.same import classes, singular_vectors
from tests.selection.problems import GOLDEN_FEATURES


def test_golden():
    vectors = singular_vectors(GOLDEN_FEATURES)
    values = np.linalg.norm(GOLDEN_FEATURES @ vectors.T, axis=0)
    np.testing.assert_allclose(values, [3.915177, 1.527627], atol=1e-6)
    left = np.linalg.norm(GOLDEN_FEATURES) ** 2 - (values**2).sum()
    np.testing.assert_allclose(np.sqrt(left), 0.260287, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(2, 30))
def test_they_are_those_of_the_decomposition(seed, samples, dimensions):
    draw = np.random.default_rng(seed)
    # Values 5, 2, then at most 1: both vectors are determined.
    left = np.linalg.qr(draw.normal(size=(samples, samples)))[0]
    right = np.linalg.qr(draw.normal(size=(dimensions, dimensions)))[0]
    least = min(samples, dimensions)
    values = np.append([5.0, 2.0], draw.random(least - 2))
    features = left[:, :least] * values @ right[:least]
    agree = np.abs(singular_vectors(features) @ right[:2].T)
    np.testing.assert_allclose(agree, np.eye(2), atol=1e-9)


@pytest.mark.parametrize("shape", [(200, 8), (8, 200)])
def test_a_weak_second_direction_is_still_found(shape):
    # The Gram matrix squares it to 1e-8 of the first.
    rows, columns = (np.eye(size)[:2] for size in shape)
    features = rows.T * [100.0, 0.01] @ columns
    vectors = np.abs(singular_vectors(features))
    np.testing.assert_allclose(vectors, columns, atol=1e-9)


ONE = np.float64([3, 4, 0])


@pytest.mark.parametrize(
    "features",
    [[ONE], [ONE] * 7, [ONE, -2 * ONE, 1e-3 * ONE], [ONE, 0 * ONE], [[5.0], [-2.0]]],
    ids=["one sample", "identical", "rank one", "a zero", "one feature"],
)
def test_without_a_second_direction_there_is_only_the_first(features):
    features = np.asarray(features)
    first, second = singular_vectors(features)
    unit = features[0] / np.linalg.norm(features[0])
    np.testing.assert_allclose(abs(first @ unit), 1, rtol=1e-12)
    np.testing.assert_array_equal(second, 0)


def test_rank_one_is_seen_through_rounding():
    draw = np.random.default_rng(0)
    sample = np.abs(draw.normal(size=256)).astype(np.float32)
    for features in (np.tile(sample, (1000, 1)), draw.random((500, 1)) * sample):
        assert not singular_vectors(features.astype(np.float64))[1].any()


@pytest.mark.parametrize(
    "features",
    [np.zeros((4, 3)), np.zeros((1, 3)), np.eye(3), np.eye(2, 5) * 7, np.eye(5, 2)],
)
def test_without_a_main_direction_there_is_none(features):
    np.testing.assert_array_equal(singular_vectors(features), 0)


def test_classes_are_those_that_have_samples():
    groups = [group.tolist() for group in classes(np.array([4, 0, 4, 7, 0, 4]))]
    assert groups == [[1, 4], [0, 2, 5], [3]]
