"""What a supervisor's `transform` makes of both sides."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import losses
from kdjax.supervision import Supervisor, fixed, signals, supervise
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

HALVED = Supervisor(temperature=fixed(2.0), transform=(lambda z: z / 2,))


def supervised(rules, student):
    return supervise(rules, (), signals(student, GOLDEN_TEACHER, GOLDEN_LABELS))[0]


def test_the_students_transformed_logits_come_with_their_gradient():
    """Both sides halved: at temperature 2 the loss has the slope of 4."""

    def loss(student):
        s = supervised(HALVED, student)
        kl = losses.kl_divergence(s.student_logits, s.logits, s.temperature)
        return kl.sum(), s

    slope, s = jax.grad(loss, has_aux=True)(jnp.asarray(GOLDEN_STUDENT))
    np.testing.assert_array_equal(s.student_logits, GOLDEN_STUDENT / 2)
    np.testing.assert_array_equal(s.logits, GOLDEN_TEACHER / 2)
    q, p = (reference.softmax(z, 4.0) for z in (GOLDEN_STUDENT, GOLDEN_TEACHER))
    np.testing.assert_allclose(slope, (q - p) / 4, atol=1e-6)


def test_without_a_transform_there_are_none():
    rules = Supervisor(temperature=fixed(2.0))
    assert supervised(rules, GOLDEN_STUDENT).student_logits is None
