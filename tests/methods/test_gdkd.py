import numpy as np
import pytest

from kdjax.methods import METHODS
from tests import reference
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    kl,
    labels_only,
    value_of,
)

STEPS = 4.0


def parts(student, tau, k, rows=range(BATCH)):
    """The three parts, summed over the rows and divided by the batch."""
    p, q = reference.softmax(TEACHER, tau), reference.softmax(student, tau)
    result = np.zeros(3)
    for i in rows:
        order = np.argsort(-TEACHER[i])
        top, rest = list(order[:k]), list(order[k:])
        groups = [[row[i, top].sum(), row[i, rest].sum()] for row in (p, q)]
        result[0] += kl(*groups)
        for number, group in ((1, top), (2, rest)):
            within = [row[i, group] / row[i, group].sum() for row in (p, q)]
            result[number] += kl(*within)
    return result / BATCH


def build(**changes):
    return METHODS["gdkd"].build(steps_per_epoch=STEPS, **changes)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_objective_is_the_papers(k):
    def objective(s, rows=range(BATCH)):
        three = parts(s, 4.0, k, rows)
        return labels_only(s) + 16 * np.dot([0.5, 2, 8], three)

    method = build(w0=0.5, w1=2.0, w2=8.0, k=k, warmup_epochs=0.0)
    check(method, objective(STUDENT), objective)
    value = value_of(method, selection=SELECTION)
    np.testing.assert_allclose(value, objective(STUDENT, CHOSEN), rtol=1e-5)
    assert method.reads == {"label"} and not method.why_not_cached


def test_the_weights_climb_by_epochs_and_defaults_are_the_authors():
    three = 16 * np.dot([1, 2, 8], parts(STUDENT, 4.0, 5))
    for step, part in ((3, 1 / 20), (4, 2 / 20), (200, 1.0)):
        check(build(), labels_only() + part * three, step=step)


def test_the_largest_alone_is_dkd_where_the_teacher_is_right():
    """With k = 1 the top is the teacher's class."""
    labels = np.argmax(TEACHER, axis=1).astype(np.int32)
    from tests.objectives import objective

    numbers = {"temperature": 4.0, "warmup_epochs": 0.0, "steps_per_epoch": STEPS}
    dkd = METHODS["dkd"].build(alpha=1.0, beta=6.0, **numbers)
    gdkd = METHODS["gdkd"].build(w0=1.0, w1=0.0, w2=6.0, k=1, **numbers)
    assert [term.name for term in gdkd.terms] == [
        "hard_label",
        "between",
        "within_rest",
    ]
    first, second = (objective(m, STUDENT, TEACHER, labels) for m in (dkd, gdkd))
    np.testing.assert_allclose(first, second, rtol=1e-5)


@pytest.mark.parametrize("argument, value", [("w1", -1), ("temperature", 0), ("k", 0)])
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"gdkd: {argument} is {value}"):
        build(**{argument: value})
    with pytest.raises(ValueError, match="gdkd: w0, w1 and w2 are 0"):
        build(w0=0.0, w1=0.0, w2=0.0)
    with pytest.raises(ValueError, match="k is 7; expected 1 to 6"):
        value_of(build(k=7))
    with pytest.raises(ValueError, match="gdkd: k is 7; expected 1 to 6"):
        build(k=7, num_classes=7)  # before a step is traced
