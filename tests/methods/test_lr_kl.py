import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, kd, lr_kl
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)


def value_and_gradient(method, selection=None, teacher=GOLDEN_TEACHER):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(teacher))


def revised(temperature, softened=False, eta=0.8):
    target = reference.softmax(GOLDEN_TEACHER, temperature)
    judged = target if softened else reference.softmax(GOLDEN_TEACHER)
    return reference.label_revision(judged, target, GOLDEN_LABELS, eta)


@pytest.mark.parametrize(
    "temperature, softened",
    [(1, False), (4, False), (4, True), (20.0, False), (0.5, True)],
)
def test_objective_and_gradient_match_the_equation(temperature, softened):
    method = METHODS["lr_kl"].build(
        gamma=0.3, alpha=0.6, temperature=temperature, softened=softened
    )
    value, (gradient, to_teacher) = value_and_gradient(method)
    target = revised(temperature, softened)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    soft = reference.kl_to_target(GOLDEN_STUDENT, target, temperature)
    expected = 0.3 * hard + 0.6 * temperature**2 * soft
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    slope = 0.3 * (reference.softmax(GOLDEN_STUDENT) - ONE_HOT)
    p = reference.softmax(GOLDEN_STUDENT, temperature)
    slope += 0.6 * temperature * (p - target)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-6)
    assert (np.asarray(to_teacher) == 0).all()


def test_defaults_are_repdistillers_and_the_golden_revision():
    value, _ = value_and_gradient(lr_kl.build())
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    soft = 16 * reference.kl_to_target(GOLDEN_STUDENT, revised(4.0), 4.0)
    np.testing.assert_allclose(value, (0.1 * hard + 0.9 * soft).mean(), rtol=1e-5)


def test_only_wrong_leaves_a_right_teacher_as_it_is():
    right = np.eye(3, dtype=np.float32)[1]  # the teacher is right on this one alone
    numbers = {"alpha": 1.0, "temperature": 4.0}
    plain, _ = value_and_gradient(kd.build(**numbers), right)
    only = lr_kl.build(gamma=0, only_wrong=True, **numbers)
    np.testing.assert_allclose(value_and_gradient(only, right)[0], plain, rtol=1e-5)
    every = lr_kl.build(gamma=0, **numbers)
    assert abs(value_and_gradient(every, right)[0] - plain) > 0.01
    wrong = np.float32(1 - right)
    both = [value_and_gradient(method, wrong)[0] for method in (only, every)]
    np.testing.assert_allclose(*both, rtol=1e-6)


def test_selection_weighs_the_teacher_and_not_the_labels():
    selection = np.float32([1.0, 0.0, 0.5])
    value, _ = value_and_gradient(lr_kl.build(), selection)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    soft = 16 * reference.kl_to_target(GOLDEN_STUDENT, revised(4.0), 4.0)
    expected = 0.1 * hard + 0.9 * selection * soft
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    other = GOLDEN_TEACHER.copy()
    other[1] = [7, -3, 0, 1]
    assert value == value_and_gradient(lr_kl.build(), selection, other)[0]


def test_huge_logits_give_finite_values_and_gradients():
    value, (gradient, _) = value_and_gradient(
        lr_kl.build(), teacher=1e5 * GOLDEN_TEACHER
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_labels_without_weight_are_left_out():
    assert [term.name for term in lr_kl.build(gamma=0).terms] == ["soft_target"]


@pytest.mark.errors
@pytest.mark.parametrize(
    "numbers, message",
    [
        ({"gamma": -1}, "lr_kl: gamma is -1"),
        ({"alpha": 0}, "lr_kl: alpha is 0"),
        ({"temperature": float("inf")}, "lr_kl: temperature is inf"),
        ({"temperature": 0.5}, "lr_kl: temperature is 0.5; .* Set softened=True"),
        ({"eta": 1.0}, "label_revision: eta is 1"),
    ],
)
def test_what_is_out_of_range_is_named(numbers, message):
    with pytest.raises(ValueError, match=message):
        lr_kl.build(**numbers)
