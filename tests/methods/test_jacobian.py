"""Jacobian matching beside its equation, and at gradients of zeros."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, jacobian
from kdjax.types import ImageGradients
from tests import objectives, reference
from tests.methods.given_features import LABELS, cross_entropy, normal, objective

STUDENT, TEACHER = normal(101, 3, 4), normal(102, 3, 4)


def objective_of(method, own, other):
    inputs = objectives.inputs(method, STUDENT, TEACHER, LABELS)
    return objective(
        method, inputs._replace(image_gradients=ImageGradients(own, other))
    )


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"weight": 7.0, "label_weight": 0.3, "logit_weight": 2.0, "temperature": 3.0},
    ],
)
def test_the_equation(weights):
    method = METHODS["jacobian"].build(**weights)
    own, other = normal(1, 3, 4, 4, 2), normal(2, 3, 4, 4, 2)
    rows = []
    for g, h in zip(np.float64(own), np.float64(other), strict=True):
        g, h = (x / np.sqrt((x**2).sum()) for x in (g, h))
        rows.append(((g - h) ** 2).mean())
    tau = weights.get("temperature", 4.0)
    soft, _ = reference.kl_divergence(STUDENT, TEACHER, tau)
    expected = weights.get("label_weight", 1.0) * cross_entropy()
    expected += weights.get("logit_weight", 1.0) * tau**2 * soft.mean()
    expected += weights.get("weight", 1.0) * np.mean(rows)
    np.testing.assert_allclose(objective_of(method, own, other), expected, rtol=1e-5)


def test_a_gradient_of_zeros_is_finite():
    method = jacobian.build()
    zeros = jnp.zeros((3, 4, 4, 2))
    value, slope = jax.value_and_grad(
        lambda own: objective_of(method, own, normal(2, 3, 4, 4, 2))
    )(zeros)
    assert np.isfinite(value) and np.isfinite(slope).all()


def test_what_it_declares():
    method = jacobian.build()
    assert method.needs == ("image_gradients",) and method.reads == {"label"}
    assert method.why_not_cached == "it needs image gradients"
    assert method.supervisor is not None


@pytest.mark.parametrize(
    "arguments",
    [{"weight": 0.0}, {"label_weight": -1.0}, {"logit_weight": -1.0}]
    + [{"temperature": 0.0}],
)
def test_what_cannot_work_is_named(arguments):
    with pytest.raises(ValueError, match=f"jacobian: {next(iter(arguments))}"):
        jacobian.build(**arguments)
