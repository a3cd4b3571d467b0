import numpy as np
import pytest

from kdjax.methods import sp
from kdjax.methods.fallback import with_label_fallback
from tests.methods.on_features import (
    LABELS,
    close,
    cross_entropy,
    declares,
    maps,
    objective,
    pair,
)


def gram(x):
    x = x.reshape(len(x), -1)
    g = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            g[i, j] = x[i] @ x[j]
        g[i] /= np.sqrt((g[i] ** 2).sum())
    return g


def similarity(student, teacher, levels, rows=slice(None)):
    total = 0.0
    for name in levels:
        s, t = maps(student, name)[rows], maps(teacher, name)[rows]
        total += ((gram(t) - gram(s)) ** 2).sum() / len(s) ** 2
    return total


@pytest.mark.parametrize("levels", [("stage3",), ("stage2", "stage3"), ("pooled",)])
def test_objective_is_the_equation(levels):
    student, teacher = pair()
    method = sp.build(student_features=levels, teacher_features=levels)
    expected = 3000.0 * similarity(student, teacher, levels)
    close(method, student, teacher, expected + cross_entropy(student.logits))


def test_only_selected_samples_are_compared():
    student, teacher = pair()
    selection = np.float32([1, 0, 1, 1])
    method = with_label_fallback(sp.build(weight=7.0), "sets")
    rows = np.array([0, 2, 3])
    z = np.float64(student.logits)
    own = np.log(np.exp(z).sum(-1)) - z[np.arange(4), LABELS]
    expected = 7.0 * similarity(student, teacher, ["stage3"], rows)
    expected += own[rows].mean() + own[1]
    close(method, student, teacher, expected, selection=selection)
    nothing = objective(method, student, teacher, selection=np.zeros(4, np.float32))
    np.testing.assert_allclose(nothing, own.mean(), rtol=1e-5)


def test_it_says_what_it_reads():
    declares(sp.build(), ["stage3"], ["stage3"])
    pooled = sp.build(student_features=("pooled",), teacher_features=("pooled",))
    assert not pooled.why_not_cached


@pytest.mark.errors
def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="sp: weight is"):
        sp.build(weight=0.0)
    with pytest.raises(ValueError, match="sp: student_features is"):
        sp.build(student_features=())
