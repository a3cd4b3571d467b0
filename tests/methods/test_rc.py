import numpy as np
import pytest

from kdjax.methods import METHODS
from kdjax.methods.fallback import with_label_fallback
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    LABELS,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    labels_only,
    mean_kl,
    value_of,
)


def raised(student=STUDENT):
    logits = np.float64(student).copy()
    for i, y in enumerate(LABELS):
        logits[i, y] += student[i].max()
    return logits


def objective(student, rows=range(BATCH), weights=(1.0, 1.0, 0.1), tau=4.0):
    constant = raised()  # of the student as it is: without gradient
    label, teacher, correction = weights
    return (
        label * labels_only(student, rows)
        + teacher * tau**2 * mean_kl(student, TEACHER, tau, rows)
        + correction * tau**2 * mean_kl(student, constant, tau, rows)
    )


def test_the_objective_is_the_codes():
    method = METHODS["rc"].build()
    check(method, objective(STUDENT), objective)
    assert method.reads == {"label"} and not method.why_not_cached


def test_other_weights():
    method = METHODS["rc"].build(
        label_weight=0.0, weight=2.0, correction_weight=3.0, temperature=1.5
    )
    check(method, objective(STUDENT, weights=(0.0, 2.0, 3.0), tau=1.5))


def test_selected_samples_alone_are_corrected():
    method = with_label_fallback(METHODS["rc"].build(), "sets")
    rest = [i for i in range(BATCH) if i not in CHOSEN]
    expected = objective(STUDENT, CHOSEN) + labels_only(STUDENT, rest)
    value = value_of(method, selection=SELECTION)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "argument, value",
    [("label_weight", -1), ("weight", 0), ("correction_weight", 0), ("temperature", 0)],
)
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"rc: {argument} is {value}"):
        METHODS["rc"].build(**{argument: value})
