import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.selection.evidence import losses
from kdjax.selection.mixture import clean_probability, labelled_weights
from tests import reference
from tests.selection.problems import mislabelled


@pytest.mark.parametrize("seed", range(2, 8))
def test_ten_steps_on_the_unit_interval(seed):
    # A gap between the groups, so that every start is the best split.
    draw = np.random.default_rng(seed)
    loss = np.append(draw.uniform(0.02, 1.0, 60), 1.6 + draw.gamma(2, 0.5, 40))
    unit = (loss - loss.min()) / (loss.max() - loss.min())
    expected = 1 - reference.mixture_of_two(
        unit, reference.best_split(unit), steps=10, tolerance=1e-2, floor=5e-4
    )
    assert (np.abs(expected - 0.5) < 0.49).sum() > 10  # not only zeros and ones
    np.testing.assert_allclose(clean_probability(loss), expected, rtol=0, atol=1e-12)


def test_the_tenth_step_is_the_last():
    draw = np.random.default_rng(36)
    low = draw.gamma(8, 0.02, draw.integers(30, 90))
    loss = np.append(low, draw.gamma(3, 0.2, 40))
    unit = (loss - loss.min()) / (loss.max() - loss.min())
    ten, hundred = (
        1
        - reference.mixture_of_two(
            unit, reference.best_split(unit), steps=steps, tolerance=1e-2, floor=5e-4
        )
        for steps in (10, 100)
    )
    assert np.abs(ten - hundred).max() > 0.1
    np.testing.assert_allclose(clean_probability(loss), ten, rtol=0, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-2, 1e2), st.floats(-5, 5))
def test_only_the_order_and_the_proportions_of_the_losses_count(seed, factor, shift):
    loss = losses(mislabelled(seed, samples=100)[0])
    there = clean_probability(loss)
    moved = clean_probability(factor * loss + shift)
    np.testing.assert_allclose(moved, there, atol=1e-7)
    order = np.random.default_rng(seed).permutation(100)
    np.testing.assert_array_equal(clean_probability(loss[order]), there[order])


def test_it_finds_the_clean_ones():
    evidence, truth = mislabelled(0)
    clean = evidence.labels == truth
    believed = clean_probability(losses(evidence)) > 0.5
    assert np.mean(believed == clean) > 0.93


@pytest.mark.parametrize("loss", [[0.7], [0.3] * 5, [0.3, 0.3 + 1e-9]])
def test_losses_that_do_not_differ_show_no_noise(loss):
    np.testing.assert_array_equal(clean_probability(loss), 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_labelled_weights_one_by_one(seed, threshold):
    draw = np.random.default_rng(seed)
    probabilities, kept = draw.random(20).round(1), draw.random(20) < 0.6
    expected = [
        p if p > threshold and k else 0.0
        for p, k in zip(probabilities, kept, strict=True)
    ]
    weights = labelled_weights(probabilities, kept, threshold)
    np.testing.assert_array_equal(weights, expected)


def test_at_the_threshold_a_label_is_not_believed():
    kept = np.ones(3, bool)
    weights = labelled_weights([0.5, np.nextafter(0.5, 1), 1.0], kept)
    np.testing.assert_array_equal(weights, [0.0, np.nextafter(0.5, 1), 1.0])
    np.testing.assert_array_equal(labelled_weights(np.ones(3), ~kept), 0)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clean_probability([0.1, np.nan]), r"losses\[1\] is nan; .*finite"),
        (lambda: clean_probability([]), "there are none; expected one finite"),
        (lambda: clean_probability(np.ones((2, 2))), r"losses has shape \(2, 2\)"),
        (
            lambda: labelled_weights([0.4, 1.2], [True, True]),
            r"probabilities\[1\] is 1",
        ),
        (lambda: labelled_weights([0.4], [1]), "kept is int64 .* expected bool"),
        (lambda: labelled_weights([0.4], [True], 2), "threshold is 2; expected a num"),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
