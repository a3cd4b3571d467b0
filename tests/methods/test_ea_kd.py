import numpy as np
import pytest

from kdjax.methods import METHODS, ea_kd
from kdjax.methods.fallback import with_label_fallback
from tests import reference
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    LABELS,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    kl,
    labels_only,
    value_of,
)
from tests.objectives import inputs


def weights(bound, temperature=3.0):
    def entropies(logits):
        rows = reference.softmax(logits, temperature)
        return [-sum(p * np.log(p) for p in row) for row in rows]

    pairs = zip(entropies(TEACHER), entropies(STUDENT), strict=True)
    return [0.5 * (t + t * s / bound) for t, s in pairs]


def objective(student, bound, alpha=0.9, tau=4.0, rows=range(BATCH)):
    w = weights(bound)  # of the student as it is: without gradient
    p, q = reference.softmax(TEACHER, tau), reference.softmax(student, tau)
    soft = sum(w[i] * kl(p[i], q[i]) for i in rows) / BATCH
    return (1 - alpha) * labels_only(student) + alpha * tau**2 * soft


@pytest.mark.parametrize("scale, bound", [("log_classes", np.log(7)), ("classes", 7)])
def test_the_objective_is_the_papers(scale, bound):
    method = METHODS["ea_kd"].build(scale=scale)
    check(method, objective(STUDENT, bound), lambda s: objective(s, bound))
    value = value_of(method, selection=SELECTION)
    expected = objective(STUDENT, bound, rows=CHOSEN)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert method.reads == {"label"} and not method.why_not_cached


def test_without_labels():
    method = METHODS["ea_kd"].build(alpha=1.0)
    check(method, objective(STUDENT, np.log(7), alpha=1.0))
    assert method.reads == set()


@pytest.mark.parametrize(
    "argument, value",
    [("alpha", 0), ("alpha", 1.5), ("temperature", 0), ("entropy_temperature", 0)],
)
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"ea_kd: {argument} is {value}"):
        METHODS["ea_kd"].build(**{argument: value})
    with pytest.raises(ValueError, match="scale"):
        METHODS["ea_kd"].build(scale="none")


def test_a_selection_keeps_the_scale_of_the_weights():
    """The teacher's part is the mean of weight times loss over the selected."""
    method = with_label_fallback(ea_kd.build(alpha=1.0), "sets")
    few = value_of(method, selection=SELECTION)
    own = [values[SELECTION > 0].mean() for values in parts(ea_kd.build(alpha=1.0))]
    others = labels_of(SELECTION == 0)
    np.testing.assert_allclose(few, sum(own) + others, rtol=1e-5)


def parts(method):
    given = inputs(method, STUDENT, TEACHER, LABELS)
    return [np.asarray(term.values(given)) for term in method.terms]


def labels_of(rows):
    one_hot = reference.one_hot(LABELS, STUDENT.shape[1])
    return reference.cross_entropy(STUDENT, one_hot)[rows].mean()
