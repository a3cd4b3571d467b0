import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.selection.evidence import Evidence
from kdjax.selection.same import same
from tests import reference
from tests.selection.problems import (
    GOLDEN_FEATURES,
    mislabelled,
    one_class,
    scattered,
)

SEEDS = st.integers(0, 2**32 - 1)


def test_golden():
    kept = same(one_class(GOLDEN_FEATURES))
    assert kept.keep.tolist() == [True, True, True, False, True]
    first = np.array([2.001745, 1.794707, 2.111466, 0.197735, 1.898226])
    second = np.array([0.029122, 0.194693, 0.152948, 1.502988, 0.111907])
    np.testing.assert_allclose(kept.score, first - second, atol=1e-5)


def by_class(evidence, basis):
    score = np.full(len(basis), -np.inf)
    for c in np.unique(evidence.labels):
        of_class = evidence.labels == c
        pair = reference.leanings(evidence.features[of_class], basis[of_class])
        score[of_class] = pair[0] - pair[1]
    return score


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([6, 30]))
def test_one_step_class_by_class(seed, dimensions):
    evidence = scattered(seed, dimensions=dimensions)
    everything = np.ones(40, bool)
    expected = by_class(evidence, everything)
    score = same(evidence).score
    np.testing.assert_allclose(score, expected, atol=1e-7)
    basis = np.arange(40) % 5 > 0  # of every class at least six
    kept = same(evidence, basis=basis)
    np.testing.assert_allclose(kept.score, by_class(evidence, basis), atol=1e-7)
    np.testing.assert_array_equal(kept.keep, kept.score >= 0)
    assert np.abs(kept.score - score).max() > 1e-3  # the basis matters


def test_iterated_is_one_step_until_nothing_changes():
    changed = []
    for seed in range(5):
        evidence, _ = mislabelled(seed, rate=0.6)
        keep, rounds = np.ones(600, bool), 0
        while rounds < 100:
            after = by_class(evidence, keep) >= 0
            rounds += 1
            if (after == keep).all():
                break
            keep = after
        np.testing.assert_array_equal(same(evidence, rounds=100).keep, keep)
        changed.append(not np.array_equal(keep, same(evidence).keep))
    assert any(changed)  # else one step would have done


def test_rounds_are_counted():
    evidence, _ = mislabelled(0, rate=0.6)
    keep = np.ones(600, bool)
    for rounds in (1, 2, 3):
        keep = by_class(evidence, keep) >= 0
        np.testing.assert_array_equal(same(evidence, rounds=rounds).keep, keep)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(1e-3, 1e3))
def test_the_score_grows_with_the_features_and_the_decision_does_not(seed, factor):
    evidence = scattered(seed)
    larger = evidence._replace(features=-factor * evidence.features)
    once, scaled = same(evidence), same(larger)
    np.testing.assert_allclose(scaled.score, factor * once.score, atol=1e-7 * factor)
    sure = np.abs(once.score) > 1e-6
    np.testing.assert_array_equal(scaled.keep[sure], once.keep[sure])


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([1, 100]))
def test_no_class_is_lost(seed, rounds):
    evidence = scattered(seed, samples=20, dimensions=4)
    keep = same(evidence, rounds=rounds).keep
    assert set(evidence.labels[keep]) == {0, 1, 2}


@pytest.mark.parametrize("rounds", [1, 100])
def test_classes_that_show_no_second_direction_are_kept(rounds):
    one, other = np.float32([3, 4, 0]), np.float32([0, 0, 5])
    features = np.stack([one, *[one] * 4, one, 2 * one, 0 * one, 0 * one, one, other])
    labels = np.array([0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4])
    # One sample; identical; on a line; zeros; and a tie between two directions.
    kept = same(Evidence(np.zeros((11, 6)), features, labels), rounds=rounds)
    assert kept.keep.all()
    np.testing.assert_allclose(kept.score, [5, 5, 5, 5, 5, 5, 10, 0, 0, 0, 0])


def test_a_class_without_a_sample_in_the_basis_is_dropped():
    evidence = scattered(0)
    basis = evidence.labels != 1
    kept = same(evidence, basis=basis, rounds=100)
    assert (kept.score[~basis] == -np.inf).all() and not kept.keep[~basis].any()
    whole = same(evidence, rounds=100)
    np.testing.assert_array_equal(kept.score[basis], whole.score[basis])


@pytest.mark.errors
@pytest.mark.parametrize("rounds", [0, -1, 1.0, True, None])
def test_rounds_must_be_a_count(rounds):
    with pytest.raises(ValueError, match="same: rounds is .*expected a whole number"):
        same(scattered(0), rounds=rounds)


@pytest.mark.errors
@pytest.mark.parametrize("basis", [np.arange(40), np.ones(39, bool), np.ones((40, 1))])
def test_a_basis_must_be_a_mask(basis):
    with pytest.raises(ValueError, match=r"same: basis is .*bool of shape \(40,\)"):
        same(scattered(0), basis=basis)
