"""CRLD's objective against loops over the samples of two views."""

import numpy as np
import pytest

from kdjax.methods import crld
from kdjax.types import SecondView
from tests import reference
from tests.methods import given

BATCH = 8
LABELS = np.arange(BATCH, dtype=np.int32) % given.CLASSES


def networks(seed=0):
    """(student, teacher) on the weak view, then on the strong one."""
    rng = np.random.default_rng(seed)
    return [[given.outputs(rng, BATCH) for _ in range(2)] for _ in range(2)]


def kd(student, teacher, tau):
    target = reference.softmax(teacher.logits, tau)
    return tau**2 * reference.kl_to_target(student.logits, target, tau)


def objective(weak, strong, weights, thresholds, tau, selection):
    """Means over the batch; what is masked or not selected counts as 0."""
    (s_w, t_w), (s_s, t_s) = weak, strong
    total = np.zeros(2)
    within = kd(s_w, t_w, tau) + kd(s_s, t_s, tau)
    cross = kd(s_s, t_w, tau) + kd(s_w, t_s, tau)
    for i in range(BATCH):
        sure_w = max(reference.softmax(t_w.logits)[i]) >= thresholds[0]
        sure_s = max(reference.softmax(t_s.logits)[i]) >= thresholds[1]
        total[0] += selection[i] * sure_w * within[i]
        total[1] += selection[i] * sure_s * cross[i]
    hot = reference.one_hot(LABELS, given.CLASSES)
    return {
        "hard_label": reference.cross_entropy(s_w.logits, hot).mean(),
        "hard_label_second": reference.cross_entropy(s_s.logits, hot).mean(),
        "within_view": weights[0] * total[0] / BATCH,
        "cross_view": weights[1] * total[1] / BATCH,
    }


@pytest.mark.parametrize(
    ("arguments", "weights", "thresholds", "tau"),
    [
        ({}, (2.0, 0.5), (0.9, 0.2), 4.0),
        (
            {"weak_threshold": 0.6, "strong_threshold": 0.7, "within_weight": 1.0}
            | {"cross_weight": 3.0, "temperature": 2.0},
            (1.0, 3.0),
            (0.6, 0.7),
            2.0,
        ),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_the_objective(arguments, weights, thresholds, tau, masked):
    method = crld.build(**arguments)
    weak, strong = networks(3)
    selection = np.float32([1, 1, 0, 1, 1, 0, 1, 1]) if masked else np.ones(BATCH)
    inputs = given.loss_inputs(
        *(method, *weak, LABELS, np.float32(selection)),
        second_view=SecondView(*strong),
    )
    expected = objective(weak, strong, weights, thresholds, tau, selection)
    assert 0 < expected["within_view"] and 0 < expected["cross_view"]
    assert given.terms(method, inputs) == pytest.approx(expected, rel=1e-5)


def test_what_it_declares():
    method = crld.build(label_weight=0.0)
    assert [term.name for term in method.terms] == ["within_view", "cross_view"]
    assert method.second_view == "randaugment" and method.needs_teacher
    assert not method.reads and crld.build().reads == {"label"}
    assert "second view" in method.why_not_cached
    assert all(term.weighted for term in method.terms)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("within_weight", 0.0), ("cross_weight", 0.0), ("temperature", 0.0)),
        *(("weak_threshold", 2.0), ("strong_threshold", -1.0), ("label_weight", -1.0)),
    ],
)
def test_what_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        crld.build(**{name: value})
