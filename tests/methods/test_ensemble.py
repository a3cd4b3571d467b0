import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, ensemble
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

INFINITY = float("inf")
SECOND = np.float32(
    [[-1.0, 0.0, 4.0, 0.5], [0.3, 1.0, -0.5, 0.0], [1.0, 1.5, -2.0, 3.0]]
)
MEMBERS = np.stack([GOLDEN_TEACHER, SECOND], axis=1)
HARD = reference.cross_entropy(GOLDEN_STUDENT, reference.one_hot(GOLDEN_LABELS, 4))
COMBINED = {"mean_logits": MEMBERS.mean(1), "sum_logits": MEMBERS.sum(1)}


def value_and_gradient(method, selection=None, members=MEMBERS):
    """The teacher's logits are the mean of its members', as `ensemble` gives them."""

    def loss(student, members):
        mean = jnp.mean(members, axis=1)
        return objective(
            method, student, mean, GOLDEN_LABELS, selection, members=members
        )

    student = jnp.asarray(GOLDEN_STUDENT)
    return jax.value_and_grad(loss, argnums=(0, 1))(student, jnp.asarray(members))


def distance(combine, loss, temperature):
    """The teachers' part by the equations, per sample."""
    if combine == "mean_probabilities":
        each = [reference.softmax(MEMBERS[:, i], temperature) for i in range(2)]
        target = np.mean(each, 0)
        kl = reference.kl_to_target(GOLDEN_STUDENT, target, temperature)
        return temperature**2 * kl
    teacher = COMBINED[combine]
    if loss == "mse":
        return np.mean((np.float64(GOLDEN_STUDENT) - teacher) ** 2, -1)
    if temperature == INFINITY:
        return reference.logit_matching(GOLDEN_STUDENT, teacher)
    kl, _ = reference.kl_divergence(GOLDEN_STUDENT, teacher, temperature)
    return temperature**2 * kl


@pytest.mark.parametrize("alpha", [1, 0.25])
@pytest.mark.parametrize(
    "combine, loss, temperature",
    [
        ("mean_logits", "kl", 3),
        ("mean_logits", "kl", INFINITY),
        ("mean_logits", "mse", 20),
        ("sum_logits", "kl", 20),
        ("sum_logits", "kl", INFINITY),
        ("sum_logits", "mse", INFINITY),
        ("mean_probabilities", "kl", 3),
    ],
)
def test_objective_matches_the_equations(combine, loss, temperature, alpha):
    method = METHODS["ensemble"].build(
        combine=combine, loss=loss, temperature=temperature, alpha=alpha
    )
    selection = np.float32([1.0, 0.0, 0.5])
    value, (gradient, to_members) = value_and_gradient(method, selection)
    soft = selection * distance(combine, loss, temperature)
    np.testing.assert_allclose(
        value, ((1 - alpha) * HARD + alpha * soft).mean(), rtol=1e-5
    )
    assert np.isfinite(gradient).all() and abs(gradient).max() > 0
    assert (np.asarray(to_members) == 0).all()


def test_defaults_are_the_mean_of_logits_at_temperature_20():
    value, (gradient, _) = value_and_gradient(ensemble.build())
    expected = distance("mean_logits", "kl", 20).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    slope = reference.softmax(GOLDEN_STUDENT, 20.0)
    slope = 20 * (slope - reference.softmax(COMBINED["mean_logits"], 20.0)) / 3
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-7)


@pytest.mark.errors
@pytest.mark.parametrize("combine", ensemble._COMBINE)
def test_a_single_teacher_is_refused(combine):
    method = ensemble.build(combine=combine)
    with pytest.raises(ValueError, match="the teacher is a single network"):
        objective(method, GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"combine": "mean_logit"}, "combine is 'mean_logit'.*Did you mean mean_log"),
        ({"loss": "l1"}, "ensemble: loss is 'l1'; expected 'kl' or 'mse'"),
        ({"alpha": 0}, "ensemble: alpha is 0"),
        ({"alpha": 2}, "ensemble: alpha is 2"),
        ({"temperature": -1}, "ensemble: temperature is -1"),
        (
            {"combine": "mean_probabilities", "loss": "mse"},
            "ensemble: loss is 'mse', which compares logits",
        ),
        (
            {"combine": "mean_probabilities", "temperature": INFINITY},
            "ensemble: temperature is inf, which compares logits",
        ),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ensemble.build(**arguments)
