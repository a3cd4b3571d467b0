import pytest

from kdjax.methods import fitnets
from tests.methods import on_features
from tests.methods.on_features import (
    SIDES,
    close,
    convolve,
    cross_entropy,
    declares,
    drawn,
    maps,
    pair,
)


@pytest.mark.parametrize(
    "student, teacher", [("stage2", "stage2"), ("stage1", "stage2")]
)
def test_objective_is_the_equation(student, teacher):
    """Equal sides: a kernel of 1; twice the teacher's: 3 with stride 2."""
    own, their = pair()
    method = fitnets.build(student_features=(student,), teacher_features=(teacher,))
    variables = drawn(method, own, their)
    weights = variables["regressors"][0][student]
    step = {"stride": 2, "pad": 1} if student == "stage1" else {}
    x = convolve(maps(own, student), weights["conv"], **step)
    x = on_features.relu(on_features.normalise(x, weights["norm"]))
    expected = 100.0 * ((x - maps(their, teacher)) ** 2).mean()
    expected += cross_entropy(own.logits)
    close(method, own, their, expected, variables)


def test_several_hints_are_summed():
    own, their = pair()
    one = fitnets.build()
    two = fitnets.build(
        student_features=("stage2", "stage3"), teacher_features=("stage2", "stage3")
    )
    variables = drawn(two, own, their)
    first = {"regressors": _only(variables["regressors"], "stage2")}
    third = fitnets.build(student_features=("stage3",), teacher_features=("stage3",))
    last = {"regressors": _only(variables["regressors"], "stage3")}
    parts = on_features.objective(one, own, their, first)
    parts += on_features.objective(third, own, their, last)
    both = on_features.objective(two, own, their, variables)
    assert float(both + cross_entropy(own.logits)) == pytest.approx(float(parts))


def _only(variables, name):
    return tuple({name: tree[name]} for tree in variables)


def test_it_says_what_it_reads():
    method = fitnets.build()
    declares(method, ["stage2"], ["stage2"])
    assert list(method.connectors) == ["regressors"]


@pytest.mark.errors
def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="fitnets: weight is"):
        fitnets.build(weight=0.0)
    with pytest.raises(ValueError, match="fitnets: student_features is"):
        fitnets.build(student_features=("stage1", "stage2"))
    method = fitnets.build()
    with pytest.raises(ValueError, match="expected sides at least as large, or half"):
        drawn(method, *pair(SIDES | {"stage2": 3}))
