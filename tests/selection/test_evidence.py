import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.selection.evidence import Evidence, checked, losses
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT
from tests.selection.problems import scattered

FEATURES = np.ones((3, 2), np.float32)


def test_losses_are_the_cross_entropy_with_the_label_given():
    values = losses(Evidence(GOLDEN_STUDENT, FEATURES, GOLDEN_LABELS))
    exact = reference.cross_entropy(GOLDEN_STUDENT, reference.one_hot(GOLDEN_LABELS, 4))
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, exact, rtol=1e-13)
    # The one sample that the teacher gets right, from the golden of label revision.
    np.testing.assert_allclose(values[1], 0.523241, atol=1e-6)


def test_losses_of_more_samples_than_a_block():
    samples = 8192 * 2 + 5
    evidence = scattered(0, samples=samples)
    target = reference.one_hot(evidence.labels, 3)
    exact = reference.cross_entropy(evidence.logits, target)
    np.testing.assert_allclose(losses(evidence), exact, rtol=1e-12, atol=1e-15)


def test_losses_stay_finite_and_change_nothing_they_were_given():
    logits = np.array([[1e30, -1e30], [0.0, 800.0]])
    before = logits.copy()
    values = losses(Evidence(logits, np.ones((2, 1)), np.array([1, 0])))
    np.testing.assert_allclose(values, [2e30, 800.0], rtol=1e-15)
    np.testing.assert_array_equal(logits, before)


def test_three_arrays_in_a_list_are_evidence():
    given = [GOLDEN_STUDENT, FEATURES, GOLDEN_LABELS]
    np.testing.assert_array_equal(losses(given), losses(Evidence(*given)))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_arrays_of_jax_come_in_as_they_are(dtype):
    logits = jnp.asarray(GOLDEN_STUDENT, dtype)
    evidence = Evidence(logits, jnp.ones((3, 2), dtype), jnp.asarray(GOLDEN_LABELS))
    target = reference.one_hot(GOLDEN_LABELS, 4)
    exact = reference.cross_entropy(np.asarray(logits, np.float64), target)
    np.testing.assert_allclose(losses(evidence), exact, rtol=1e-13)


def with_number(array, number):
    array = array.copy()
    array[1, 0] = number
    return array


@pytest.mark.errors
@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        (
            "logits",
            GOLDEN_STUDENT[:2],
            "features has samples=3 .* logits has samples=2",
        ),
        ("features", FEATURES[0], r"features has shape \(2,\); expected \[samples, fe"),
        ("features", np.ones((3, 4, 4, 2)), "features has shape .3, 4, 4, 2."),
        ("labels", GOLDEN_LABELS[:2], "labels has samples=2"),
        ("labels", np.array([0, 4, 1]), r"labels\[1\] is 4; expected 0 to 3"),
        ("labels", np.array([0, -1, 1]), r"labels\[1\] is -1; expected 0 to 3"),
        ("labels", np.array([0.0, 1.0, 1.0]), "labels have dtype float64; .* integers"),
        ("logits", with_number(GOLDEN_STUDENT, np.nan), "logits of sample 1 .*1 of 3"),
        ("logits", with_number(GOLDEN_STUDENT, np.inf), "logits of sample 1 are not"),
        ("features", with_number(FEATURES, np.inf), "features of sample 1 are not fin"),
    ],
)
def test_what_is_wrong_with_the_evidence_is_named(part, value, message):
    evidence = Evidence(GOLDEN_STUDENT, FEATURES, GOLDEN_LABELS)
    with pytest.raises(ValueError, match=f"clk: .*{message}"):
        checked("clk", evidence._replace(**{part: value}))


@pytest.mark.errors
def test_no_sample_is_an_error():
    empty = Evidence(np.zeros((0, 4)), np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(ValueError, match="losses: the evidence is empty"):
        losses(empty)
