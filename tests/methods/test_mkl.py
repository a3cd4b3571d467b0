import numpy as np
import pytest

from kdjax.methods import METHODS
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

FACTORS = (2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0)


def distance(student, tau, factors=FACTORS, rows=range(BATCH)):
    total = 0.0
    for f in factors:
        s, t = np.float64(student).copy(), np.float64(TEACHER).copy()
        for i in range(BATCH):
            second, first = np.sort(t[i])[-2:]
            t[i, np.argmax(t[i])] -= f * (first - second)
            s[i, LABELS[i]] -= f * (first - second)
        total += mean_kl(s, t, tau, rows) * len(rows) / BATCH
    return total / len(factors)


def build(**changes):
    return METHODS["mkl"].build(steps_per_epoch=4.0, **changes)


def test_the_objective_is_the_codes():
    def objective(s):
        return labels_only(s) + 8 * 16 * distance(s, 4.0)

    method = build(warmup_epochs=0.0)
    check(method, objective(STUDENT), objective)
    expected = labels_only() + 8 * 16 * distance(STUDENT, 4.0, rows=CHOSEN)
    value = value_of(method, selection=SELECTION)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert method.reads == {"label"} and not method.why_not_cached


@pytest.mark.parametrize("step, part", [(0, 1 / 20), (8, 3 / 20), (80, 1.0)])
def test_the_weight_climbs_by_epochs(step, part):
    expected = labels_only() + part * 8 * 16 * distance(STUDENT, 4.0)
    check(build(), expected, step=step)


def test_other_factors_and_temperature():
    method = build(weight=2.0, temperature=1.0, warmup_epochs=0.0, factors=(1.0, -0.5))
    expected = labels_only() + 2 * distance(STUDENT, 1.0, (1.0, -0.5))
    check(method, expected)


@pytest.mark.parametrize("argument, value", [("weight", 0), ("temperature", 0)])
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"mkl: {argument} is {value}"):
        build(**{argument: value})
    with pytest.raises(ValueError, match="mkl: factors is empty"):
        build(factors=())
