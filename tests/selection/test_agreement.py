import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from kdjax.selection.detectors import agreement, keep_all

FRACTIONS = ("precision", "recall", "f1", "specificity")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=20))
def test_against_scikit_learn(samples):
    keep = np.array([kept for kept, _ in samples])
    labels = np.array([label for _, label in samples])
    truth = np.zeros_like(labels)
    clean = labels == truth
    zero = {"zero_division": 0.0}  # our convention, asked of scikit-learn
    values = agreement(keep, labels, truth)
    assert values["precision"] == metrics.precision_score(clean, keep, **zero)
    assert values["recall"] == metrics.recall_score(clean, keep, **zero)
    peer = metrics.f1_score(clean, keep, **zero)
    np.testing.assert_allclose(values["f1"], peer, rtol=1e-14)
    # Specificity is the recall of the other kind.
    assert values["specificity"] == metrics.recall_score(~clean, ~keep, **zero)
    assert values["kept"] == keep.sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_f1_lies_between_precision_and_recall(seed, samples):
    draw = np.random.default_rng(seed)
    keep = draw.random(samples) < 0.5
    labels = draw.integers(0, 2, samples)
    values = agreement(keep, labels, np.zeros(samples, int))
    assert all(0 <= values[name] <= 1 for name in FRACTIONS)
    low, high = sorted([values["precision"], values["recall"]])
    assert low - 1e-12 <= values["f1"] <= high + 1e-12
    assert all(type(values[name]) is float for name in FRACTIONS)
    assert type(values["kept"]) is int


def test_worked_example():
    # Kept 5, of them clean 3; clean 4; noisy 6, of them dropped 4.
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    keep = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], bool)
    assert agreement(keep, labels, np.ones(10, int)) == {
        "precision": 3 / 5,
        "recall": 3 / 4,
        "f1": 6 / 9,
        "specificity": 4 / 6,
        "kept": 5,
    }


def test_a_fraction_of_nothing_is_zero():
    label, other = np.array([1, 1]), np.array([0, 0])
    nothing, everything = np.zeros(2, bool), np.ones(2, bool)
    assert [agreement(nothing, label, label)[k] for k in FRACTIONS] == [0, 0, 0, 0]
    assert [agreement(nothing, label, other)[k] for k in FRACTIONS] == [0, 0, 0, 1]
    assert [agreement(everything, label, other)[k] for k in FRACTIONS] == [0, 0, 0, 0]
    assert [agreement(everything, label, label)[k] for k in FRACTIONS] == [1, 1, 1, 0]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50))
def test_keeping_all_scores_by_the_noise_alone(clean, noisy):
    labels = np.append(np.zeros(clean, int), np.ones(noisy, int))
    values = keep_all(labels, np.zeros(clean + noisy, int))
    rate = noisy / (clean + noisy)
    np.testing.assert_allclose(values["precision"], 1 - rate, rtol=1e-12)
    np.testing.assert_allclose(values["f1"], 2 * (1 - rate) / (2 - rate), rtol=1e-12)
    assert (values["recall"], values["specificity"]) == (1.0, 0.0)
    assert values["kept"] == clean + noisy


@pytest.mark.errors
def test_errors_name_what_is_wrong():
    labels = np.arange(3)
    with pytest.raises(ValueError, match="agreement: keep is int64 .* expected bool"):
        agreement(np.array([0, 2]), labels, labels)
    with pytest.raises(ValueError, match="agreement: true_labels has samples=2"):
        agreement(np.ones(3, bool), labels, labels[:2])
    with pytest.raises(ValueError, match="agreement: labels have dtype bool"):
        agreement(np.ones(3, bool), labels == 1, labels)
