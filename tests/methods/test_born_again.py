import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, born_again
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_KL, GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER


def value_and_gradient(method, student=GOLDEN_STUDENT):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS), argnums=(0, 1)
    )
    return loss(jnp.asarray(student), jnp.asarray(GOLDEN_TEACHER))


def test_default_is_the_softened_teacher_at_20_alone():
    value, (gradient, to_teacher) = value_and_gradient(METHODS["born_again"].build())
    np.testing.assert_allclose(value, np.mean(GOLDEN_KL[20.0]), atol=1e-6)
    slope = reference.softmax(GOLDEN_STUDENT, 20.0)
    slope = 20 * (slope - reference.softmax(GOLDEN_TEACHER, 20.0)) / 3
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-7)
    assert (np.asarray(to_teacher) == 0).all()


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    value, (gradient, _) = value_and_gradient(born_again.build(), GOLDEN_TEACHER)
    assert value == 0 and (np.asarray(gradient) == 0).all()


def test_alpha_mixes_with_the_labels():
    value, _ = value_and_gradient(born_again.build(alpha=0.5, temperature=1))
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    hard = reference.cross_entropy(GOLDEN_STUDENT, one_hot)
    expected = 0.5 * hard + 0.5 * np.array(GOLDEN_KL[1.0])
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


@pytest.mark.errors
@pytest.mark.parametrize(
    "numbers, message",
    [
        ({"alpha": 0}, "born_again: alpha is 0"),
        ({"alpha": 1.1}, "born_again: alpha is 1.1"),
        ({"temperature": 0}, "born_again: temperature is 0"),
    ],
)
def test_what_is_out_of_range_is_named(numbers, message):
    with pytest.raises(ValueError, match=message):
        born_again.build(**numbers)
