import numpy as np
import pytest

from kdjax.methods import kdsvd
from tests.methods.on_features import (
    SIDES,
    STUDENT,
    close,
    cross_entropy,
    declares,
    maps,
    objective,
    outputs,
    pair,
)

LEVELS = ("stage1", "stage2", "stage3")


def matrix(x, form):
    """Of one sample [h, w, c]."""
    if form == "repdistiller":
        return np.array([x[i, j] for i in range(len(x)) for j in range(len(x[0]))])
    return np.array([x[i, :, c] for c in range(x.shape[2]) for i in range(len(x))])


def vectors(s, t, k):
    """The weighted right vectors of both, column by column."""
    _, values, right = np.linalg.svd(t)
    weights = values[:k] / np.sqrt((values[:k] ** 2).sum())
    candidates, own, their = np.linalg.svd(s)[2][: k + 3], [], []
    for m in range(k):
        v = right[m] if right[m][np.abs(right[m]).argmax()] > 0 else -right[m]
        cosines = candidates @ v
        best = np.abs(cosines).argmax()
        own.append(np.sign(cosines[best]) * candidates[best] * weights[m])
        their.append(v * weights[m])
    return own, their


def relation(now, before):
    return np.exp(-((now[:, None] - before[None, :]) ** 2) / 8)


def reference(student, teacher, k, form):
    total = 0.0
    for i in range(4):
        before = None
        for name in LEVELS:
            s, t = (matrix(maps(one, name)[i], form) for one in (student, teacher))
            now = vectors(s, t, k)
            if before is not None:
                for m in range(k):
                    own = relation(now[0][m], before[0][m])
                    total += ((own - relation(now[1][m], before[1][m])) ** 2).sum()
            before = now
    return total / 4


@pytest.mark.parametrize("k", [1, 2])
def test_mdistillers_form_is_the_equation(k):
    student, teacher = pair()
    expected = cross_entropy(student.logits)
    expected += 5.0 * reference(student, teacher, k, "mdistiller")
    method = kdsvd.build(weight=5.0, k=k)
    close(method, student, teacher, expected, rtol=2e-5)


def test_repdistillers_form_is_the_equation_and_needs_equal_channels():
    student, teacher = outputs(1, STUDENT), outputs(2, STUDENT)
    method = kdsvd.build(form="repdistiller")
    expected = cross_entropy(student.logits)
    expected += reference(student, teacher, 1, "repdistiller")
    close(method, student, teacher, expected, rtol=2e-5)
    with pytest.raises(ValueError, match="channels0"):
        objective(method, *pair())


def test_mdistillers_form_needs_equal_widths():
    sides = SIDES | {"stage3": 4}
    with pytest.raises(ValueError, match="width2"):
        objective(kdsvd.build(), *pair(sides))


def test_it_says_what_it_reads():
    declares(kdsvd.build(), LEVELS, LEVELS)


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight": 0.0}, "kdsvd: weight is"),
        ({"k": 0}, "kdsvd: k is 0"),
        ({"form": "paper"}, "kdsvd: form is 'paper'"),
        (
            {"student_features": ("stage1",), "teacher_features": ("stage1",)},
            "as many names of both, 2 or more",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kdsvd.build(**arguments)
