import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, ka_ps, kd
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

GOLDEN = np.array([0.367589, 0.250179, 0.348448])  # temperature 4
SHIFTED = reference.shifted(GOLDEN_TEACHER, GOLDEN_TEACHER, GOLDEN_LABELS)
ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)


def value_and_gradient(method, selection=None, labels=GOLDEN_LABELS):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, labels, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


def test_golden_by_default():
    value, _ = value_and_gradient(METHODS["ka_ps"].build())
    np.testing.assert_allclose(value, 0.322072, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 4.0, 20, 1e4])
@pytest.mark.parametrize("label_weight", [0, 0.3, 2])
def test_objective_and_gradient_match_the_equation(temperature, label_weight):
    method = ka_ps.build(temperature=temperature, label_weight=label_weight)
    value, (gradient, to_teacher) = value_and_gradient(method)
    soft, slope = reference.kl_divergence(GOLDEN_STUDENT, SHIFTED, temperature)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = temperature**2 * soft + label_weight * hard
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    slope = temperature**2 * slope
    slope += label_weight * (reference.softmax(GOLDEN_STUDENT) - ONE_HOT)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-6)
    assert (np.asarray(to_teacher) == 0).all()


def test_a_teacher_that_is_right_everywhere_makes_it_kd():
    labels = GOLDEN_TEACHER.argmax(-1)
    value, (gradient, _) = value_and_gradient(ka_ps.build(), labels=labels)
    plain = kd.build(alpha=1, temperature=4)
    same, (slope, _) = value_and_gradient(plain, labels=labels)
    np.testing.assert_array_equal(value, same)
    np.testing.assert_array_equal(gradient, slope)


def test_selection_weighs_the_teacher_and_not_the_labels():
    selection = np.float32([1.0, 0.0, 0.5])
    value, _ = value_and_gradient(ka_ps.build(label_weight=0.5), selection)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = 0.5 * hard + selection * GOLDEN
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 4.0, 20])
def test_revision_mixes_the_label_into_the_adjusted_teacher(temperature):
    method = ka_ps.build(temperature=temperature, eta=0.7)
    value, (gradient, _) = value_and_gradient(method)
    aim = 0.7 * reference.softmax(SHIFTED, temperature) + 0.3 * ONE_HOT
    soft = reference.kl_to_target(GOLDEN_STUDENT, aim, temperature)
    np.testing.assert_allclose(value, temperature**2 * soft.mean(), rtol=1e-5)
    slope = temperature * (reference.softmax(GOLDEN_STUDENT, temperature) - aim)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-6)


def test_the_cross_entropy_is_left_out_at_weight_zero():
    assert [t.name for t in ka_ps.build().terms] == ["soft_logits"]
    names = [t.name for t in ka_ps.build(label_weight=0.1).terms]
    assert names == ["hard_label", "soft_logits"]


@pytest.mark.errors
@pytest.mark.parametrize(
    "argument, value",
    [
        ("temperature", 0),
        ("temperature", float("inf")),
        ("label_weight", -0.1),
        ("label_weight", float("nan")),
    ],
)
def test_numbers_out_of_range_are_named(argument, value):
    with pytest.raises(ValueError, match=f"ka_ps: {argument} is"):
        ka_ps.build(**{argument: value})


@pytest.mark.errors
def test_an_eta_out_of_range_is_named():
    with pytest.raises(ValueError, match="label_revision: eta is 1"):
        ka_ps.build(eta=1)
