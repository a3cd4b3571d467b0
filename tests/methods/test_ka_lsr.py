import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, ka_lsr, kd
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

GOLDEN = np.array([12.344821, 0.250179, 11.497055])  # temperature 4, epsilon 0.1
ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)


def value_and_gradient(method, selection=None, labels=GOLDEN_LABELS):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, labels, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


def target(temperature, epsilon):
    soft = reference.softmax(GOLDEN_TEACHER, temperature)
    args = soft, GOLDEN_TEACHER, GOLDEN_LABELS, epsilon
    return reference.smoothed_where_wrong(*args)


def test_golden_by_default():
    value, _ = value_and_gradient(METHODS["ka_lsr"].build())
    np.testing.assert_allclose(value, 8.030685, rtol=1e-5)


@pytest.mark.parametrize(
    "temperature, epsilon", [(1, 0.1), (4, 0.3), (20.0, 0), (2, 1)]
)
@pytest.mark.parametrize("label_weight, eta", [(0, None), (0.3, None), (0.3, 0.7)])
def test_objective_and_gradient_match_the_equation(
    temperature, epsilon, label_weight, eta
):
    numbers = {"epsilon": epsilon, "label_weight": label_weight, "eta": eta}
    method = ka_lsr.build(temperature=temperature, **numbers)
    value, (gradient, to_teacher) = value_and_gradient(method)
    aim = target(temperature, epsilon)
    if eta is not None:  # the label is on top of every row already
        aim = eta * aim + (1 - eta) * ONE_HOT
    soft = reference.kl_to_target(GOLDEN_STUDENT, aim, temperature)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = temperature**2 * soft + label_weight * hard
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    slope = temperature * (reference.softmax(GOLDEN_STUDENT, temperature) - aim)
    slope += label_weight * (reference.softmax(GOLDEN_STUDENT) - ONE_HOT)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-5)
    assert (np.asarray(to_teacher) == 0).all()


def test_a_teacher_that_is_right_everywhere_makes_it_kd():
    labels = GOLDEN_TEACHER.argmax(-1)
    value, (gradient, _) = value_and_gradient(ka_lsr.build(), labels=labels)
    plain = kd.build(alpha=1, temperature=4)
    same, (slope, _) = value_and_gradient(plain, labels=labels)
    np.testing.assert_allclose(value, same, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-7)


def test_selection_weighs_the_teacher_and_not_the_labels():
    selection = np.float32([1.0, 0.0, 0.5])
    value, _ = value_and_gradient(ka_lsr.build(label_weight=0.5), selection)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = 0.5 * hard + selection * GOLDEN
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


def test_the_cross_entropy_is_left_out_at_weight_zero():
    assert [t.name for t in ka_lsr.build().terms] == ["soft_target"]
    names = [t.name for t in ka_lsr.build(label_weight=0.1).terms]
    assert names == ["hard_label", "soft_target"]


@pytest.mark.errors
@pytest.mark.parametrize(
    "argument, value",
    [
        ("temperature", -4),
        ("temperature", float("inf")),
        ("epsilon", 1.1),
        ("epsilon", float("nan")),
        ("label_weight", -0.1),
    ],
)
def test_numbers_out_of_range_are_named(argument, value):
    with pytest.raises(ValueError, match=f"ka_lsr: {argument} is"):
        ka_lsr.build(**{argument: value})


@pytest.mark.errors
def test_an_eta_out_of_range_is_named():
    with pytest.raises(ValueError, match="label_revision: eta is 1"):
        ka_lsr.build(eta=1)
