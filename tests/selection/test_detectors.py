import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.selection.detectors import (
    DETECTORS,
    agreement,
    at_random,
    clk,
    intersection,
    keep_all,
    oracle,
)
from kdjax.selection.evidence import Evidence
from kdjax.selection.same import same
from tests import reference
from tests.selection.problems import mislabelled, renamed, reordered, scattered

SEEDS = st.integers(0, 2**32 - 1)
EVERY = {
    **DETECTORS,
    "same iterated": lambda evidence: same(evidence, rounds=100),
    "fine kmeans": lambda evidence: DETECTORS["fine"](evidence, clustering="kmeans"),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rate", [0.2, 0.4])
def test_a_detector_beats_keeping_all(name, rate):
    evidence, truth = mislabelled(3, rate=rate)
    kept = EVERY[name](evidence)
    result = agreement(kept.keep, evidence.labels, truth)
    trivial = keep_all(evidence.labels, truth)
    assert result["f1"] > trivial["f1"] + 0.03
    chance = at_random(600, count=result["kept"], seed=0).keep
    assert result["f1"] > agreement(chance, evidence.labels, truth)["f1"] + 0.05
    # The score orders as it should: clean samples above noisy ones.
    clean = evidence.labels == truth
    above = kept.score[clean][:, None] > kept.score[~clean][None, :]
    assert above.mean() > 0.95


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_neither_order_nor_names_decide(name, seed):
    evidence, _ = mislabelled(seed, samples=120)
    once = EVERY[name](evidence)
    draw = np.random.default_rng(seed)
    order, names = draw.permutation(120), draw.permutation(4)
    for other, back in (
        (reordered(evidence, order), order),
        (renamed(evidence, names), np.arange(120)),
    ):
        again = EVERY[name](other)
        np.testing.assert_allclose(again.score, once.score[back], atol=1e-9)
        np.testing.assert_array_equal(again.keep, once.keep[back])
    assert once.keep.dtype == bool and once.score.dtype == np.float64


@pytest.mark.parametrize("seed", range(6))
def test_clk_is_the_best_split_of_the_losses(seed):
    evidence, _ = mislabelled(seed, samples=200)
    target = reference.one_hot(evidence.labels, 4)
    loss = reference.cross_entropy(evidence.logits, target)
    kept = clk(evidence)
    np.testing.assert_array_equal(kept.keep, ~reference.best_split(loss))
    np.testing.assert_allclose(kept.score, -loss, rtol=1e-12)


def test_clk_is_not_per_class():
    # Class 1 is hard as a whole: split by class, half of it would be kept.
    logits = np.zeros((8, 2))
    logits[:, 0] = [6, 6, 5, 5, 3, 3, 4, 4]
    evidence = Evidence(logits, logits, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert clk(evidence).keep.tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize("samples", [1, 6])
def test_clk_keeps_all_where_losses_do_not_differ(samples):
    noise = 1e-8 * np.arange(samples)[:, None] * np.array([[1.0, 0.0]])
    evidence = Evidence(noise, np.ones((samples, 1)), np.zeros(samples, int))
    assert clk(evidence).keep.all()


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 4))
def test_an_intersection_is_in_every_set(seed, count):
    keeps = np.random.default_rng(seed).random((count, 30)) < 0.7
    both = intersection(*keeps)
    assert both.dtype == bool
    assert not (both & ~keeps).any()
    # And leaves out only what some set leaves out.
    np.testing.assert_array_equal(both, keeps.sum(0) == count)
    np.testing.assert_array_equal(intersection(*keeps[::-1], both), both)


def test_a_second_proxy_looks_at_what_the_first_kept():
    first, truth = mislabelled(0, rate=0.5)
    second = mislabelled(1, rate=0.5)[0]._replace(labels=first.labels)
    kept = same(first).keep
    both = intersection(kept, same(second, basis=kept).keep)
    precision = [
        agreement(keep, first.labels, truth)["precision"] for keep in (kept, both)
    ]
    assert precision[1] > precision[0]


def test_the_oracle_scores_one_and_chance_the_clean_rate():
    evidence, truth = mislabelled(0, samples=4000)
    kept = oracle(evidence.labels, truth)
    best = agreement(kept.keep, evidence.labels, truth)
    assert [best[k] for k in ("precision", "recall", "f1", "specificity")] == [1] * 4
    np.testing.assert_array_equal(kept.keep, kept.score == 1)
    chance = agreement(at_random(4000, ratio=0.5, seed=1).keep, evidence.labels, truth)
    clean_rate = np.mean(evidence.labels == truth)
    # Four standard deviations of a draw of 2,000 from 4,000.
    assert abs(chance["precision"] - clean_rate) < 4 * 0.5 / np.sqrt(4000)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(0, 50))
def test_at_random_keeps_so_many_and_the_same_ones(seed, count):
    kept = at_random(50, count=count, seed=seed)
    assert kept.keep.sum() == count
    again = at_random(50, ratio=count / 50, seed=seed)
    np.testing.assert_array_equal(kept.keep, again.keep)
    more = at_random(50, count=min(count + 1, 50), seed=seed).keep
    assert not (kept.keep & ~more).any()
    if 0 < count < 50:
        assert kept.score[kept.keep].min() > kept.score[~kept.keep].max()


def test_seeds_differ():
    one, other = (at_random(1000, count=500, seed=seed).keep for seed in (0, 1))
    assert 180 < (one & other).sum() < 320  # 250 in the mean, deviation 8


@pytest.mark.errors
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intersection(), "intersection: no set is given"),
        (lambda: intersection(np.arange(3)), r"keeps\[0\] is int64 .*np.isin"),
        (
            lambda: intersection(np.ones(3, bool), np.ones(4, bool)),
            r"keeps\[1\] is bool of shape \(4,\); expected bool of shape \(3,\)",
        ),
        (lambda: oracle(np.arange(3), np.arange(4)), "true_labels has samples=4"),
        (lambda: oracle(np.ones(3), np.arange(3)), "oracle: labels have dtype float"),
        (lambda: at_random(9, seed=0), "count is None and ratio is None; expected one"),
        (lambda: at_random(9, count=1, ratio=0.5, seed=0), "count is 1 and ratio is 0"),
        (lambda: at_random(9, count=10, seed=0), "count is 10; expected 0 to 9"),
        (
            lambda: at_random(9, count=2.5, seed=0),
            "count is 2.5; expected 0 to 9, a whole",
        ),
        (lambda: at_random(9, ratio=1.5, seed=0), "at_random: ratio is 1.5"),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.errors
@pytest.mark.parametrize("name", EVERY)
def test_evidence_is_checked_at_the_door(name):
    evidence = scattered(0)
    bad = evidence._replace(features=evidence.features * np.nan)
    with pytest.raises(ValueError, match="features of sample 0 are not finite"):
        EVERY[name](bad)
    with pytest.raises(ValueError, match="labels.* is 3; expected 0 to 2"):
        EVERY[name](evidence._replace(labels=evidence.labels + 1))
