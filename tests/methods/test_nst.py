import numpy as np
import pytest

from kdjax.methods import nst
from tests.methods.on_features import close, cross_entropy, declares, halve, maps, pair

LEVELS = ("stage1", "stage2", "stage3")


def kernel(a, b):
    """The mean of (a_c . b_d)^2 over pairs of channels."""
    total = 0.0
    for c in range(a.shape[-1]):
        for d in range(b.shape[-1]):
            one, other = a[..., c].ravel(), b[..., d].ravel()
            cosine = one @ other / np.sqrt((one @ one) * (other @ other))
            total += cosine**2
    return total / (a.shape[-1] * b.shape[-1])


def reference(student, teacher):
    total = 0.0
    for name in LEVELS:
        s, t = maps(student, name), maps(teacher, name)
        t = halve(t) if len(t[0]) > len(s[0]) else t
        for i in range(len(s)):
            total += kernel(t[i], t[i]) + kernel(s[i], s[i]) - 2 * kernel(s[i], t[i])
    return total / len(s)


@pytest.mark.parametrize("sides", [None, dict.fromkeys(LEVELS, 4) | {"stem": 4}])
def test_objective_is_the_equation(sides):
    student, teacher = pair(sides)
    expected = cross_entropy(student.logits) + 50.0 * reference(student, teacher)
    close(nst.build(), student, teacher, expected)


def test_it_says_what_it_reads():
    declares(nst.build(), LEVELS, LEVELS)


@pytest.mark.errors
def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="nst: weight is"):
        nst.build(weight=-1.0)
    with pytest.raises(ValueError, match="nst: student_features is"):
        nst.build(teacher_features=("stage1",))
