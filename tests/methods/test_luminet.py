import numpy as np
import pytest

from kdjax.methods import METHODS
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    labels_only,
    mean_kl,
    value_of,
)

STEPS = 4.0  # in an epoch


def standardised(z, rows):
    """Column by column, over the rows that count."""
    z, out = np.float64(z), np.zeros(z.shape)
    for k in range(z.shape[1]):
        column = [z[i, k] for i in rows]
        mean = sum(column) / len(column)
        variance = sum((x - mean) ** 2 for x in column) / len(column)
        out[:, k] = (z[:, k] - mean) / np.sqrt(variance + 1e-5)
    return out


def distance(student, tau, rows=range(BATCH)):
    return mean_kl(standardised(student, rows), standardised(TEACHER, rows), tau, rows)


def build(**changes):
    numbers = {"alpha": 5.0, "temperature": 3.0, "warmup_epochs": 0.0}
    return METHODS["luminet"].build(steps_per_epoch=STEPS, **numbers | changes)


def test_the_objective_is_the_codes():
    def objective(s):
        return 2 * labels_only(s) + 25 * distance(s, 3.0)

    check(build(), objective(STUDENT), objective)
    assert build().reads == {"label"} and not build().why_not_cached
    assert build(label_weight=0.0).reads == set()


def test_the_weight_climbs_by_epochs():
    method = build(warmup_epochs=20.0)
    for step, part in ((0, 1 / 20), (7, 2 / 20), (79, 1.0), (500, 1.0)):
        expected = 2 * labels_only() + part * 25 * distance(STUDENT, 3.0)
        check(method, expected, step=step)


def test_mean_and_variance_are_of_the_selected_samples():
    expected = 2 * labels_only()
    expected += 25 * distance(STUDENT, 3.0, CHOSEN) * len(CHOSEN) / BATCH
    value = value_of(build(), selection=SELECTION)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_defaults_are_those_of_the_published_pair():
    labels, teacher = METHODS["luminet"].build(steps_per_epoch=STEPS).terms
    assert labels.coefficient == 2.0 and teacher.coefficient(79) == 33.0**2


@pytest.mark.parametrize(
    "argument, value", [("alpha", 0), ("temperature", 0), ("label_weight", -1)]
)
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"luminet: {argument} is {value}"):
        build(**{argument: value})
