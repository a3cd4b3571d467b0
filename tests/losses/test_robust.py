import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.test_util import check_grads

from kdjax.losses import logits, robust
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

REMEMBERED = np.float32(0.6 * reference.softmax(GOLDEN_TEACHER))
GOLDEN_ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)
SHAPE = (3, 5)
ROWS = hnp.arrays(np.float32, SHAPE, elements=st.floats(-50, 50, width=32))
LABELS = hnp.arrays(np.int32, SHAPE[:1], elements=st.integers(0, SHAPE[1] - 1))
quick = settings(max_examples=40, deadline=None, derandomize=True)

gce = jax.jit(robust.generalized_cross_entropy)
gce_gradient = jax.jit(jax.grad(lambda s, y, q: gce(s, y, q).sum()))
rce = jax.jit(robust.reverse_cross_entropy)
elr = jax.jit(robust.early_learning_regularization)


def cases():
    """Every loss with what it takes beside the logits, and its reference."""
    labels = GOLDEN_LABELS
    rows = {
        f"gce_{q}": (
            lambda s, q=q: robust.generalized_cross_entropy(s, labels, q),
            lambda s, q=q: reference.generalized_cross_entropy(s, labels, q),
        )
        for q in (1e-3, 0.1, 0.7, 1.0)
    }
    rows |= {
        f"rce_{a}": (
            lambda s, a=a: robust.reverse_cross_entropy(s, labels, a),
            lambda s, a=a: reference.reverse_cross_entropy(s, labels, a),
        )
        for a in (-4.0, -9.2)
    }
    rows["elr"] = (
        lambda s: robust.early_learning_regularization(s, REMEMBERED),
        lambda s: reference.early_learning(s, REMEMBERED)[0],
    )
    return rows


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_the_equations(name):
    loss, exact = CASES[name]
    both = jax.jit(lambda s: (loss(s), jax.grad(lambda s: loss(s).sum())(s)))
    for scale in (0.1, 1, 5, 30):
        student = np.float32(scale) * GOLDEN_STUDENT
        values, slope = both(student)
        np.testing.assert_allclose(values, exact(student), rtol=2e-5, atol=1e-6)
        wide = student.astype(np.float64)
        steps = 1e-6 * np.eye(wide.size).reshape(-1, *wide.shape)
        central = [(exact(wide + e) - exact(wide - e)).sum() / 2e-6 for e in steps]
        expected = np.reshape(central, wide.shape)
        np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)


def test_gce_by_hand():
    student = np.log(np.float32([[0.25, 0.75], [0.25, 0.75]]))
    values = gce(student, np.array([0, 1]), 0.5)
    np.testing.assert_allclose(values, [1.0, 2 - 3**0.5], rtol=1e-5)


def test_rce_by_hand():
    student = np.log(np.float32([[0.25, 0.75], [0.25, 0.75]]))
    np.testing.assert_allclose(rce(student, np.array([0, 1])), [3.0, 1.0], rtol=1e-5)


def test_elr_by_hand():
    """<t, p> = 0.25 * 0.8 + 0.75 * 0.2 = 0.35, and t that agrees costs less."""
    student = np.log(np.float32([[0.25, 0.75], [0.25, 0.75]]))
    values = elr(student, np.float32([[0.8, 0.2], [0.2, 0.8]]))
    np.testing.assert_allclose(values, np.log([0.65, 0.35]), rtol=1e-5)


@quick
@given(ROWS, LABELS, st.floats(0.015625, 1, width=32))
def test_gce_lies_between_its_limits(student, labels, q):
    """1 - p_y (half the absolute error) <= GCE <= CE, and it falls with q."""
    values = np.asarray(gce(student, labels, q), np.float64)
    hot = reference.one_hot(labels, SHAPE[1])
    absolute = 0.5 * np.abs(reference.softmax(student) - hot).sum(-1)
    assert (values >= absolute - 1e-5).all()
    assert (values <= reference.cross_entropy(student, hot) * (1 + 1e-5) + 1e-5).all()
    assert (values <= np.asarray(gce(student, labels, q / 2)) * (1 + 1e-5) + 1e-5).all()
    assert (values <= 1 / q + 1e-5).all()


def test_gce_tends_to_cross_entropy_with_all_its_digits():
    """The textbook form has one digit left here: 1 - p^q is 1e-6 in float32."""
    values = gce(GOLDEN_STUDENT, GOLDEN_LABELS, 1e-6)
    exact = reference.cross_entropy(GOLDEN_STUDENT, GOLDEN_ONE_HOT)
    np.testing.assert_allclose(values, exact, rtol=3e-6)


@quick
@given(ROWS, LABELS)
def test_gce_teaches_by_the_belief_in_the_label(student, labels):
    """Gradient of GCE = p_y^q times the gradient of cross entropy."""
    p, hot = reference.softmax(student), reference.one_hot(labels, SHAPE[1])
    belief = (p * hot).sum(-1, keepdims=True) ** 0.7
    expected = belief * (p - hot)
    slope = gce_gradient(student, labels, 0.7)
    np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-6)


@quick
@given(ROWS, LABELS)
def test_rce_is_what_is_not_given_to_the_label(student, labels):
    p, hot = reference.softmax(student), reference.one_hot(labels, SHAPE[1])
    missing = 4 * (1 - (p * hot).sum(-1))
    np.testing.assert_allclose(rce(student, labels), missing, rtol=1e-5, atol=3e-6)


@quick
@given(ROWS, ROWS)
def test_elr_falls_with_agreement_and_is_bounded(student, other):
    remembered = np.asarray(robust.clipped_probabilities(other))
    values = np.asarray(elr(student, remembered))
    assert (values <= 0).all() and (values >= np.log(0.99e-4)).all()
    # Nothing is remembered yet: nothing is asked for.
    np.testing.assert_array_equal(elr(student, np.zeros_like(remembered)), 0)
    np.testing.assert_allclose(
        elr(student + 3, remembered), values, rtol=1e-3, atol=1e-4
    )


@quick
@given(ROWS)
def test_what_elr_remembers_sums_to_one(student):
    result = robust.clipped_probabilities(student)
    np.testing.assert_allclose(result.sum(-1), 1, rtol=1e-6)
    _, exact = reference.early_learning(student, 0)
    np.testing.assert_allclose(result, exact, rtol=1e-4)


def test_elr_starves_what_disagrees_with_memory():
    """CE + ELR: the pull of a label against memory is weaker than one with it."""
    student = np.zeros((2, 3), np.float32)
    remembered = np.float32([[0.9, 0.05, 0.05]] * 2)
    labels = np.array([0, 1])

    def total(s):
        pull = 3 * robust.early_learning_regularization(s, remembered)
        return (logits.cross_entropy(s, labels) + pull).sum()

    slope = jax.grad(total)(student)
    assert slope[0, 0] < -0.9 and slope[1, 1] > -0.5


@pytest.mark.parametrize("name", CASES)
def test_gradients_numerically(name):
    loss, _ = CASES[name]
    student = (jnp.asarray(GOLDEN_STUDENT),)
    check_grads(loss, student, order=1, modes=("fwd", "rev"), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", CASES)
def test_one_float32_per_sample_and_finite_at_extremes(name):
    loss, exact = CASES[name]
    student = 1e5 * jnp.asarray(np.sign(GOLDEN_STUDENT) * GOLDEN_STUDENT**2)
    values = loss(student)
    assert values.shape == (3,) and values.dtype == jnp.float32
    np.testing.assert_allclose(values, exact(student), rtol=1e-5, atol=1e-6)
    for sign in (1, -1):
        slope = jax.grad(lambda s, sign=sign: loss(sign * s).sum())(student)
        assert np.isfinite(slope).all() and np.isfinite(loss(sign * student)).all()
    low = loss(jnp.asarray(GOLDEN_STUDENT, jnp.bfloat16))
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, loss(GOLDEN_STUDENT), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("loss", [gce, rce], ids=["gce", "rce"])
@pytest.mark.parametrize("label", [-1, 4])
def test_a_traced_label_out_of_range_is_nan_and_teaches_nan(loss, label):
    labels = jnp.array([2, label, 3], jnp.int32)
    rest = (0.7,) if loss is gce else ()

    def total(s, y):
        return loss(s, y, *rest)

    values = np.asarray(jax.jit(total)(GOLDEN_STUDENT, labels))
    assert np.isnan(values).tolist() == [False, True, False]
    slope = jax.jit(jax.grad(lambda s, y: total(s, y).sum()))(GOLDEN_STUDENT, labels)
    assert np.isnan(slope[1]).any() and np.isfinite(slope[jnp.array([0, 2])]).all()


@pytest.mark.errors
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"cross_entropy: labels\[1\] is 4"):
        robust.generalized_cross_entropy(GOLDEN_STUDENT, np.array([0, 4, 1]), 0.7)
    with pytest.raises(ValueError, match=r"reverse_cross_entropy: labels\[0\] is -1"):
        robust.reverse_cross_entropy(GOLDEN_STUDENT, np.array([-1, 0, 1]))
    for loss, rest in (
        (robust.generalized_cross_entropy, (0.7,)),
        (robust.reverse_cross_entropy, ()),
    ):
        with pytest.raises(ValueError, match=f"{loss.__name__}: labels has batch=2"):
            loss(GOLDEN_STUDENT, np.array([0, 1]), *rest)
        with pytest.raises(ValueError, match=f"{loss.__name__}: labels has shape"):
            loss(GOLDEN_STUDENT[0], np.array([0, 1]), *rest)
    with pytest.raises(ValueError, match="remembered has classes=3"):
        robust.early_learning_regularization(GOLDEN_STUDENT, REMEMBERED[:, :3])
    with pytest.raises(ValueError, match="clipped_probabilities: student_logits has"):
        robust.clipped_probabilities(np.float32(3))


@pytest.mark.errors
@pytest.mark.parametrize("q", [0, -0.5, 1.5, float("nan")])
def test_q_outside_its_range_is_refused(q):
    with pytest.raises(ValueError, match="generalized_cross_entropy: q is"):
        robust.generalized_cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, q)


@pytest.mark.errors
@pytest.mark.parametrize("log_zero", [0.0, 4.0, -float("inf"), float("nan")])
def test_a_log_of_zero_that_is_none_is_refused(log_zero):
    with pytest.raises(ValueError, match="reverse_cross_entropy: -log_zero is"):
        robust.reverse_cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, log_zero)
