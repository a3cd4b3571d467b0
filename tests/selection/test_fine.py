import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.selection.evidence import Evidence
from kdjax.selection.fine import CLUSTERINGS, aligned_probability, alignment, fine
from tests import reference
from tests.selection.problems import (
    GOLDEN_FEATURES,
    mislabelled,
    one_class,
    scattered,
)

SEEDS = st.integers(0, 2**32 - 1)


def test_golden():
    expected = [0.999624, 0.989454, 0.994251, 0.130382, 0.997685]
    kept = fine(one_class(GOLDEN_FEATURES))
    np.testing.assert_allclose(kept.score, expected, atol=1e-5)
    # Four scores within 0.01 of each other and one far off: no division is clearer.
    for clustering in CLUSTERINGS:
        keep = fine(one_class(GOLDEN_FEATURES), clustering=clustering).keep
        assert keep.tolist() == [True, True, True, False, True]


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_alignment_class_by_class(seed):
    evidence = scattered(seed)
    basis = np.arange(40) % 5 > 0
    score = alignment(evidence, basis=basis)
    for c in range(3):
        of_class = evidence.labels == c
        first, _ = reference.leanings(evidence.features[of_class], basis[of_class])
        length = np.sqrt((evidence.features[of_class] ** 2).sum(1))
        np.testing.assert_allclose(score[of_class], first / length, atol=1e-7)
    assert np.abs(score - alignment(evidence)).max() > 1e-3  # the basis matters


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(1e-3, 1e3))
def test_how_long_a_feature_is_decides_nothing(seed, factor):
    evidence = scattered(seed)
    basis = np.arange(40) % 3 > 0
    # What gives the direction is scaled as one, the rest each by its own factor.
    own = np.random.default_rng(seed).uniform(0.1, 10, 40) * np.where(basis, 0, 1)
    features = evidence.features * np.where(basis, factor, own)[:, None]
    once = fine(evidence, basis=basis)
    scaled = fine(evidence._replace(features=features), basis=basis)
    np.testing.assert_allclose(scaled.score, once.score, atol=1e-9)
    assert (once.score >= 0).all() and (once.score <= 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_every_class_has_its_own_two_groups(seed):
    evidence, _ = mislabelled(seed)
    kept = fine(evidence)
    probability = aligned_probability(kept.score, evidence.labels)
    clusters = fine(evidence, clustering="kmeans").keep
    for c in range(4):
        of_class = evidence.labels == c
        values = kept.score[of_class]
        split = reference.best_split(values)
        expected = reference.mixture_of_two(
            values, split, steps=5000, tolerance=1e-13, floor=1e-6
        )
        np.testing.assert_allclose(probability[of_class], expected, atol=0.02)
        np.testing.assert_array_equal(clusters[of_class], split)
    np.testing.assert_array_equal(kept.keep, probability > 0.5)


def test_the_threshold_counts():
    evidence = scattered(0, samples=200)
    probability = aligned_probability(alignment(evidence), evidence.labels)
    for threshold in (0.0, 0.1, 0.9, 1.0):
        keep = fine(evidence, threshold=threshold).keep
        np.testing.assert_array_equal(keep, probability > threshold)
    count = [fine(evidence, threshold=t).keep.sum() for t in (0.01, 0.5, 0.99)]
    assert count[0] > count[1] > count[2]


@pytest.mark.parametrize("clustering", CLUSTERINGS)
def test_classes_of_one_group_are_kept(clustering):
    one, other = np.float32([3, 4, 0]), np.float32([0, 0, 5])
    features = np.stack([one, *[one] * 4, one, 2 * one, 0 * one, 0 * one, one, other])
    labels = np.array([0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4])
    # One sample; identical; on a line; zeros; and a tie between two directions.
    evidence = Evidence(np.zeros((11, 6)), features, labels)
    kept = fine(evidence, clustering=clustering)
    assert kept.keep.all()
    expected = [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(kept.score, expected, atol=1e-12)
    # Rounding in the alignments is not two groups either.
    near = np.append(np.full(6, 0.9), np.full(3, 0.9 + 1e-7))
    probability = aligned_probability(near, np.zeros(9, int), clustering=clustering)
    np.testing.assert_array_equal(probability, 1)


def test_an_alignment_is_at_most_one_whatever_the_rounding():
    draw = np.random.default_rng(0)
    for _ in range(20):
        features = draw.random((50, 1)) * draw.random(7)
        score = alignment(one_class(features))
        assert score.max() <= 1 and score.min() > 1 - 1e-12


def test_a_feature_of_zeros_is_the_least_aligned():
    features = np.append(GOLDEN_FEATURES[[0, 1, 2, 4]], np.zeros((1, 3)), axis=0)
    kept = fine(one_class(features))
    assert kept.keep.tolist() == [True, True, True, True, False]
    assert kept.score[4] == 0


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 12), st.sampled_from([2e-3, 1e-2, 0.3]))
def test_no_class_is_lost(seed, samples, spread):
    # On about one draw in ten the two Gaussians become one, and nobody is in the other.
    draw = np.random.default_rng(seed)
    score = 1 - spread * np.abs(draw.normal(size=samples)).clip(0, 3)
    assert aligned_probability(score, np.zeros(samples, int)).max() > 0.5


def test_two_gaussians_that_became_one_are_one_group():
    score = 1 - 2e-3 * np.abs(np.random.default_rng(0).normal(size=(200, 5)))
    probability = [aligned_probability(row, np.zeros(5, int)) for row in score]
    assert sum((row == 1).all() for row in probability) > 20
    assert all(row.max() > 0.5 for row in probability)


def test_a_class_without_a_sample_in_the_basis_is_dropped():
    evidence = scattered(0)
    basis = evidence.labels != 1
    kept, whole = fine(evidence, basis=basis), fine(evidence)
    assert (kept.score[~basis] == -np.inf).all() and not kept.keep[~basis].any()
    np.testing.assert_array_equal(kept.score[basis], whole.score[basis])
    np.testing.assert_array_equal(kept.keep[basis], whole.keep[basis])


def test_three_arrays_in_a_tuple_do():
    evidence = scattered(0)
    one, other = fine(evidence), fine(tuple(evidence))
    np.testing.assert_array_equal(other.keep, one.keep)
    np.testing.assert_array_equal(other.score, one.score)


@pytest.mark.errors
def test_errors_name_what_is_wrong():
    evidence = scattered(0)
    with pytest.raises(ValueError, match="expected one of mixture, kmeans. Did you"):
        fine(evidence, clustering="kmean")
    with pytest.raises(ValueError, match="fine: threshold is 1.5; expected a number"):
        fine(evidence, threshold=1.5)
    with pytest.raises(ValueError, match="fine: evidence is .*; expected an Evidence"):
        fine(evidence[:2])
    with pytest.raises(ValueError, match="fine: basis is int64 .* np.isin"):
        fine(evidence, basis=np.arange(10))
    with pytest.raises(ValueError, match="fine: a score is nan"):
        aligned_probability(np.full(40, np.nan), evidence.labels)
    with pytest.raises(ValueError, match="fine: labels has samples=40"):
        aligned_probability(np.ones(39), evidence.labels)
