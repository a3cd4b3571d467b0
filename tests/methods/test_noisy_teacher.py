import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, noisy_teacher
from tests import reference
from tests.objectives import objective
from tests.reference import (
    GOLDEN_KL,
    GOLDEN_LABELS,
    GOLDEN_LOGIT_MATCHING,
    GOLDEN_STUDENT,
    GOLDEN_TEACHER,
)

INFINITY = float("inf")


def value_and_gradient(method, labels=GOLDEN_LABELS):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, labels), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


@pytest.mark.parametrize(
    "numbers, expected",
    [
        ({}, 2 * np.array(GOLDEN_KL[0.5])),
        ({"small_temperature_fix": False}, GOLDEN_KL[0.5]),
        ({"temperature": 1}, GOLDEN_KL[1.0]),
        ({"temperature": 5}, GOLDEN_KL[5.0]),
        ({"temperature": INFINITY}, GOLDEN_LOGIT_MATCHING),
    ],
)
def test_goldens_with_the_fix_at_small_temperatures_only(numbers, expected):
    value, (_, to_teacher) = value_and_gradient(
        METHODS["noisy_teacher"].build(**numbers)
    )
    np.testing.assert_allclose(value, np.mean(expected), atol=2e-6)
    assert (np.asarray(to_teacher) == 0).all()


def test_with_the_fix_a_temperature_near_zero_asks_for_the_teachers_class():
    _, (gradient, _) = value_and_gradient(noisy_teacher.build(temperature=1e-4))
    exact = reference.label_matching_gradient(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(gradient, exact / 3, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 0.5, INFINITY])
def test_no_label_is_seen(temperature):
    method = noisy_teacher.build(temperature=temperature)
    noisy = (GOLDEN_LABELS + 1) % 4
    one, other = (value_and_gradient(method, y) for y in (GOLDEN_LABELS, noisy))
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.errors
@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_a_temperature_not_above_zero_is_refused(temperature):
    with pytest.raises(ValueError, match="noisy_teacher: temperature is"):
        noisy_teacher.build(temperature=temperature)
