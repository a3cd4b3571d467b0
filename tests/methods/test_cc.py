import numpy as np
import pytest

from kdjax.methods import cc
from kdjax.methods.fallback import with_label_fallback
from tests.methods.on_features import (
    LABELS,
    close,
    cross_entropy,
    declares,
    drawn,
    pair,
)


def congruence(student, teacher, variables, rows):
    """The mean of the products of neighbours."""
    own, total = variables["congruence"][0], 0.0
    apart = []
    for i in rows:
        both = [
            np.float64(one.features["pooled"][i]) @ np.float64(own[name]["kernel"])
            + np.float64(own[name]["bias"])
            for name, one in (("student", student), ("teacher", teacher))
        ]
        apart.append(np.abs(both[0] - both[1]))
    for i in range(len(rows) - 1):
        total += apart[i] @ apart[i + 1]
    return total / (len(rows) - 1)


def test_objective_is_the_equation():
    student, teacher = pair()
    method = cc.build(width=6)
    variables = drawn(method, student, teacher)
    assert variables["congruence"][0]["student"]["kernel"].shape == (4, 6)
    expected = cross_entropy(student.logits)
    expected += 0.02 * congruence(student, teacher, variables, range(4))
    gradients = close(method, student, teacher, expected, variables)
    for name in ("student", "teacher"):  # both are trained
        assert np.abs(gradients[2]["congruence"][0][name]["kernel"]).max() > 0


def test_neighbours_are_the_selected_samples():
    student, teacher = pair()
    method = with_label_fallback(cc.build(weight=1.0, width=3), "sets")
    variables = drawn(method, student, teacher)
    z, rows = np.float64(student.logits), [0, 2, 3]
    own = np.log(np.exp(z).sum(-1)) - z[np.arange(4), LABELS]
    expected = congruence(student, teacher, variables, rows)
    expected += own[rows].mean() + own[1]
    selection = np.float32([1, 0, 1, 1])
    close(method, student, teacher, expected, variables, selection=selection)


def test_it_says_what_it_reads():
    declares(cc.build(), ["pooled"], ["pooled"])
    assert not cc.build().why_not_cached  # a cache has pooled features


@pytest.mark.errors
def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="cc: weight is"):
        cc.build(weight=0.0)
    with pytest.raises(ValueError, match="cc: width is 0"):
        cc.build(width=0)
