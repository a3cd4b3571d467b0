import numpy as np
import pytest

from kdjax.methods import at
from tests.methods.on_features import close, cross_entropy, declares, halve, maps, pair

LEVELS = ("stage1", "stage2", "stage3")


def attention(x, power=2.0):
    q = (np.abs(x) ** power).mean(-1).ravel()
    return q / np.sqrt((q**2).sum())


def reference(student, teacher, power, form):
    total = 0.0
    for name in LEVELS:
        s, t = maps(student, name), maps(teacher, name)
        t = halve(t) if len(t[0]) > len(s[0]) else t
        for i in range(len(s)):
            d = attention(s[i], power) - attention(t[i], power)
            square = (d**2).sum()
            total += square / d.size if form == "repdistiller" else np.sqrt(square)
    return total / len(s)


@pytest.mark.parametrize("power, form", [(2.0, "repdistiller"), (1.5, "paper")])
@pytest.mark.parametrize("sides", [None, dict.fromkeys(LEVELS, 4) | {"stem": 4}])
def test_objective_is_the_equation(power, form, sides):
    student, teacher = pair(sides)
    method = at.build(weight=30.0, power=power, form=form)
    expected = 30.0 * reference(student, teacher, power, form)
    expected += cross_entropy(student.logits)
    close(method, student, teacher, expected)


def test_it_says_what_it_reads():
    declares(at.build(), LEVELS, LEVELS)
    assert [term.coefficient for term in at.build().terms] == [1.0, 1000.0]
    one = at.build(student_features=("stage4",), teacher_features=("stage3",))
    declares(one, ["stage4"], ["stage3"])


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight": 0.0}, "at: weight is"),
        ({"power": 0.5}, "at: power is 0.5"),
        ({"form": "other"}, "at: form is 'other'"),
        ({"student_features": ("stage1",)}, "as many names of both, 1 or more"),
        ({"student_features": (), "teacher_features": ()}, "1 or more"),
        ({"student_features": "stage1", "teacher_features": "stage1"}, "names of both"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        at.build(**arguments)
