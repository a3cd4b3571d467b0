import jax
import numpy as np
import pytest

from kdjax import losses
from kdjax.supervision import raised_label
from kdjax.supervision.pipeline import Supervisor, supervise
from kdjax.supervision.temperature import fixed
from tests import reference
from tests.objectives import signals
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

RULES = Supervisor(temperature=fixed(4.0), logits=(raised_label,))
GIVEN = signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
run = jax.jit(lambda given: supervise(RULES, (), given)[0])


def test_the_label_of_the_students_own_logits_is_raised():
    expected = np.float64(GOLDEN_STUDENT)
    for row, label in zip(expected, GOLDEN_LABELS, strict=True):
        row[label] += max(row)
    supervision = run(GIVEN)
    np.testing.assert_allclose(supervision.logits, expected, rtol=1e-6)
    target = reference.softmax(expected, 4.0)
    np.testing.assert_allclose(supervision.target, target, rtol=1e-5)
    assert RULES.reads == {"label"}


def test_the_rule_and_the_loss_agree():
    by_rule = losses.kl_divergence(GOLDEN_STUDENT, run(GIVEN).logits, 4.0)
    by_loss = losses.label_correction(
        GOLDEN_STUDENT, GOLDEN_STUDENT, GOLDEN_LABELS, 4.0
    )
    np.testing.assert_allclose(by_rule, by_loss, rtol=1e-6)


def test_a_traced_label_out_of_range_gives_nan_in_its_row_alone():
    labels = np.int32([2, 4, 3])
    broken = np.isnan(run(GIVEN._replace(labels=labels)).logits).all(-1)
    assert broken.tolist() == [False, True, False]


@pytest.mark.errors
def test_a_concrete_label_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"raise_label: labels\[1\] is 4"):
        raised_label(GIVEN._replace(labels=np.int32([2, 4, 3])))
