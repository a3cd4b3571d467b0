import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from kdjax.selection.evidence import Evidence
from kdjax.selection.scores import Scores, random_scores, select, validation_indices

# Few different values: ties are the rule.
scored = st.lists(st.integers(-3, 3), min_size=1, max_size=40)
ratios = st.floats(0.001, 1.0)
classed = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


def random_labels(seed, samples=1000, classes=10):
    return np.random.default_rng(seed).integers(0, classes, samples)


@hypothesis.given(scored, ratios)
def test_keeps_the_best_and_of_equals_the_first(values, ratio):
    count = max(1, round(ratio * len(values)))
    best = sorted(range(len(values)), key=lambda i: (values[i], i))[:count]
    kept = select(np.array(values, float), ratio)
    assert kept.dtype == bool and np.flatnonzero(kept).tolist() == sorted(best)


@hypothesis.given(scored, ratios, ratios, st.booleans())
def test_a_larger_ratio_keeps_what_a_smaller_one_kept(values, one, other, balanced):
    values = np.array(values, float)
    labels = np.arange(len(values)) % 3 if balanced else None
    small, large = (select(values, r, labels) for r in sorted([one, other]))
    assert (small <= large).all()
    assert select(values, 1.0, labels).all()


@hypothesis.given(classed, ratios, st.integers(0, 99))
def test_the_ratio_holds_inside_every_class(labels, ratio, seed):
    values = np.random.default_rng(seed).normal(size=len(labels))
    kept = select(values, ratio, labels)
    for c in np.unique(labels):
        alone = select(values[labels == c], ratio)
        np.testing.assert_array_equal(kept[labels == c], alone)
        assert alone.sum() == max(1, round(ratio * len(alone)))


@hypothesis.given(scored, ratios, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_decides_nothing(values, ratio, random):
    values = np.array(values) + np.linspace(0, 0.5, len(values))  # no ties
    order = np.array(random.sample(range(len(values)), len(values)))
    labels = np.arange(len(values)) % 2
    kept = select(values, ratio, labels)
    np.testing.assert_array_equal(
        select(values[order], ratio, labels[order]), kept[order]
    )


def test_takes_what_an_estimator_returns():
    values = np.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(select(Scores(values, 7), 0.4), [False, True, False])


@hypothesis.given(classed, ratios, st.integers(0, 2**63 - 1))
def test_validation_is_balanced(labels, fraction, seed):
    drawn = validation_indices(labels, fraction, seed=seed)
    assert (np.diff(drawn) > 0).all() and drawn.dtype == np.int64
    for c, members in zip(*np.unique(labels, return_counts=True), strict=True):
        assert (labels[drawn] == c).sum() == max(1, round(fraction * members))
    more = validation_indices(labels, min(1.0, 2 * fraction), seed=seed)
    assert set(drawn) <= set(more)


def test_validation_is_random_and_repeats():
    labels = random_labels(0)
    drawn = [validation_indices(labels, seed=s) for s in range(60)]
    np.testing.assert_array_equal(drawn[3], validation_indices(labels, 0.1, seed=3))
    # Two draws of 100 of 1000 share 10 on average, with a standard deviation of 3.
    shared = [len(np.intersect1d(a, b)) for a, b in itertools.pairwise(drawn)]
    assert abs(np.mean(shared) - 10) < 4 * 3 / np.sqrt(59)
    times = np.bincount(np.concatenate(drawn), minlength=1000)
    # Binomial(60, 0.1): no sample is drawn every time, the halves are alike.
    assert times.max() < 25
    assert abs(times[:500].mean() - times[500:].mean()) < 4 * 2.3 * np.sqrt(2 / 500)


def test_random_scores_are_uniform_and_repeat():
    labels = random_labels(1, samples=20000)
    evidence = Evidence(np.zeros((20000, 10)), np.zeros((20000, 1)), labels)
    one, two = (random_scores(evidence, seed=s).values for s in (0, 1))
    np.testing.assert_array_equal(one, random_scores(evidence, seed=0).values)
    assert one.min() >= 0 and one.max() < 1
    deciles = np.bincount((10 * one).astype(int), minlength=10)
    np.testing.assert_allclose(deciles, 2000, atol=5 * np.sqrt(1800))
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(20000)
    # Not the draw that picks the validation set, or it would sort it out.
    drawn = validation_indices(np.zeros(20000, int), seed=0)
    assert abs(one[drawn].mean() - 0.5) < 5 * 0.29 / np.sqrt(2000)


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        (([1.0, np.nan], 0.5), r"scores\[1\] is nan"),
        (([1.0, np.inf], 0.5), r"scores\[1\] is inf"),
        (([], 0.5), "there are none"),
        (([[1.0]], 0.5), "scores has shape"),
        (([1.0], 0.0), "keep_ratio is 0; expected a number above 0"),
        (([1.0], 1.5), "keep_ratio is 1.5; expected a number from 0 to 1"),
        (([1.0], np.nan), "keep_ratio is nan"),
        (([1.0], 0.5, np.array([0, 1])), "2 labels for 1 samples"),
        (([1.0], 0.5, np.array([0.0])), "labels have dtype float64"),
    ],
)
def test_select_says_what_is_wrong(arguments, message):
    values, *rest = arguments
    with pytest.raises(ValueError, match=f"select: {message}"):
        select(np.array(values), *rest)


@pytest.mark.errors
def test_validation_says_what_is_wrong():
    labels = np.array([0, 1])
    with pytest.raises(ValueError, match="validation_indices: fraction is 0"):
        validation_indices(labels, 0.0, seed=0)
    with pytest.raises(ValueError, match="validation_indices: seed is -1"):
        validation_indices(labels, seed=-1)
    with pytest.raises(ValueError, match="validation_indices: 0 labels for"):
        validation_indices(np.array([], int), seed=0)
