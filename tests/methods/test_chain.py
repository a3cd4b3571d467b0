import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, chain
from tests import reference
from tests.objectives import objective
from tests.reference import (
    GOLDEN_KL,
    GOLDEN_LABELS,
    GOLDEN_LOGIT_MATCHING,
    GOLDEN_STUDENT,
    GOLDEN_TEACHER,
)

ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)


@pytest.mark.parametrize(
    "link, expected",
    [
        ({"link": "ce"}, reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)),
        ({"link": "kl"}, GOLDEN_KL[3.0]),
        ({"link": "kl", "temperature": 20}, GOLDEN_KL[20.0]),
        ({"link": "kl", "temperature": float("inf")}, GOLDEN_LOGIT_MATCHING),
        ({"link": "mse"}, [1.1716667]),
    ],
)
def test_each_link_has_the_papers_objective(link, expected):
    method = METHODS["chain"].build(**link)
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS), argnums=(0, 1)
    )
    value, (gradient, to_teacher) = loss(
        jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER)
    )
    np.testing.assert_allclose(value, np.mean(expected), rtol=2e-6)
    assert abs(gradient).max() > 0
    assert (np.asarray(to_teacher) == 0).all()


@pytest.mark.parametrize(
    "link, has_teacher", [("ce", False), ("kl", True), ("mse", True)]
)
def test_only_the_first_link_does_without_a_teacher(link, has_teacher):
    method = chain.build(link=link)
    assert method.needs_teacher == has_teacher
    assert ("hard_label" in [term.name for term in method.terms]) == (not has_teacher)


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="chain: link is 'kd'; expected 'ce', 'kl' or"):
        chain.build(link="kd")
    with pytest.raises(ValueError, match="chain: temperature is 0"):
        chain.build(link="kl", temperature=0)
