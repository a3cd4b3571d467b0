import numpy as np
import pytest

from kdjax.methods import fsp
from tests.methods.on_features import (
    STUDENT,
    close,
    declares,
    halve,
    maps,
    objective,
    outputs,
    pair,
)

LEVELS = ("stem", "stage1", "stage2", "stage3")


def flow(first, second):
    """[h, w, c] of one sample and two levels; the larger is pooled."""
    if len(first) > len(second):
        first = halve(first[None])[0]
    g = np.zeros((first.shape[-1], second.shape[-1]))
    for c in range(first.shape[-1]):
        for d in range(second.shape[-1]):
            g[c, d] = (first[..., c] * second[..., d]).mean()
    return g


def reference(student, teacher, levels):
    total = 0.0
    for first, second in zip(levels, levels[1:], strict=False):
        for i in range(4):
            own, their = (
                flow(maps(one, first)[i], maps(one, second)[i])
                for one in (student, teacher)
            )
            total += ((own - their) ** 2).mean() / 4
    return total


@pytest.mark.parametrize("levels", [LEVELS, LEVELS[1:3]])
def test_objective_is_the_equation(levels):
    student, teacher = outputs(1, STUDENT), outputs(2, STUDENT)
    method = fsp.build(student_features=levels, teacher_features=levels)
    expected = reference(student, teacher, levels)
    gradients = close(method, student, teacher, expected)
    assert (np.asarray(gradients[1]) == 0).all()  # no label, no logit


def test_it_says_what_it_reads():
    declares(fsp.build(), LEVELS, LEVELS, reads="")


@pytest.mark.errors
def test_channels_that_differ_are_refused():
    message = "fsp: the student's stem has 2 channels, the teacher's stem has 3; "
    with pytest.raises(ValueError, match=message):
        objective(fsp.build(), *pair())


@pytest.mark.errors
def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="fsp: weight is"):
        fsp.build(weight=0.0)
    with pytest.raises(ValueError, match="as many names of both, 2 or more"):
        fsp.build(student_features=("stem",), teacher_features=("stem",))
