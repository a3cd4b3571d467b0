"""Methods that can train on mixtures: their loss is the mean over both labels."""

import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, terms
from kdjax.methods.base import NOTHING, Memory, Method, Term
from kdjax.supervision import Supervisor, fixed, reads
from kdjax.types import LabelMixture
from tests.methods.test_reads import CASES
from tests.objectives import inputs, objective

# Those of the cases that read labels, and can do with the labels of mixtures.
MIXABLE = {"kd", "mse", "smooth_l1", "chain", "ensemble", "ce", "tickets", "dtd_flsw"}
ROWS, CLASSES = 6, 5
RNG = np.random.default_rng(3)
STUDENT, TEACHER = (RNG.normal(size=(ROWS, CLASSES)).astype("f") for _ in range(2))
MEMBERS = RNG.normal(size=(ROWS, 3, CLASSES)).astype("f")
OWN, OTHER = np.array([0, 1, 2, 3, 4, 0]), np.array([0, 2, 3, 4, 0, 1])


def can_mix(name, arguments, sample):
    if "index" in sample or "eta" in arguments:
        return False
    return not sample or name in MIXABLE


@pytest.mark.parametrize("name, arguments, sample", CASES)
def test_losses_are_means_over_both_labels(name, arguments, sample):
    method = METHODS[name].build(**arguments)
    assert (method.why_not_mixed == "") == can_mix(name, arguments, sample)
    if method.why_not_mixed:
        return
    share = np.float32(0.3)

    def loss(labels):
        return objective(method, STUDENT, TEACHER, labels, members=MEMBERS)

    mixture = LabelMixture(jnp.asarray(OTHER), jnp.full(ROWS, share))
    given = inputs(method, STUDENT, TEACHER, OWN, members=MEMBERS)
    given = given._replace(label_mixture=mixture)
    actual = sum(t.coefficient * jnp.mean(t.values(given)) for t in method.terms)
    expected = share * loss(OWN) + (1 - share) * loss(OTHER)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    if "label" in sample:
        assert abs(float(loss(OWN) - loss(OTHER))) > 1e-3


@pytest.mark.errors
@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"terms": (Term("mine", 1.0, lambda inputs: 0.0),)}, "its mine reads"),
        (
            {
                "supervisor": Supervisor(
                    logits=(reads("label")(lambda s: s.teacher_logits),),
                    temperature=fixed(1.0),
                )
            },
            "its supervisor reads the label",
        ),
        (
            {
                "memory": Memory(
                    tuple, lambda state, inputs: ((), state), reads=frozenset({"label"})
                )
            },
            "its memory reads the label",
        ),
        (
            {"memory": Memory(tuple, lambda state, inputs: ((), state))},
            "it remembers each sample",
        ),
    ],
)
def test_the_part_that_needs_one_label_is_named(parts, reason):
    method = Method(**{"terms": (terms.hard_label(1.0),)} | parts)
    assert method.why_not_mixed.startswith(reason)


def test_a_queue_of_features_may_have_mixtures():
    queue = Memory(tuple, lambda state, inputs: ((), state), reads=NOTHING)
    method = Method(terms=(terms.hard_label(1.0),), memory=queue)
    assert method.why_not_mixed == ""
