"""PKT's objective against loops over pairs."""

import numpy as np
import pytest

from kdjax.methods import pkt
from kdjax.methods.fallback import with_label_fallback
from tests import reference
from tests.methods import given

LABELS = np.array([0, 3, 1, 4, 2, 2], np.int32)


def divergence(student, teacher, eps=1e-7):
    """mean_ij P_t log((P_t + eps) / (P_s + eps))."""
    rows = []
    for x in (student, teacher):
        x = np.asarray(x, np.float64)
        x = x / (np.linalg.norm(x, axis=1, keepdims=True) + eps)
        k = [[(a @ b + 1) / 2 for b in x] for a in x]
        rows.append(np.array([row / np.sum(row) for row in k]))
    q, p = rows
    return np.mean(p * np.log((p + eps) / (q + eps)))


def networks(seed=0):
    rng = np.random.default_rng(seed)
    student = given.outputs(rng, 6, pooled=(3,), stage4=(4,))
    return student, given.outputs(rng, 6, pooled=(5,), stage4=(2,))


@pytest.mark.parametrize("feature", ["pooled", "stage4"])
def test_the_objective(feature):
    method = pkt.build(student_feature=feature, teacher_feature=feature)
    student, teacher = networks()
    values = given.terms(method, given.loss_inputs(method, student, teacher, LABELS))
    distance = divergence(student.features[feature], teacher.features[feature])
    hot = reference.one_hot(LABELS, given.CLASSES)
    expected = {
        "hard_label": reference.cross_entropy(student.logits, hot).mean(),
        "similarities": 30000 * distance,
    }
    assert values == pytest.approx(expected, rel=1e-5)


def test_similarities_of_selected_samples_alone():
    method, selection = pkt.build(weight=2.0), np.float32([1, 0, 1, 1, 0, 1])
    student, teacher = networks(1)
    inputs = given.loss_inputs(method, student, teacher, LABELS, selection)
    values = given.terms(with_label_fallback(method, "sets"), inputs)
    kept = selection > 0
    expected = divergence(
        student.features["pooled"][kept], teacher.features["pooled"][kept]
    )
    assert values["similarities"] == pytest.approx(2 * expected, rel=1e-5)


def test_what_it_declares():
    method = pkt.build(student_feature="a", teacher_feature="b")
    assert method.needs_teacher and method.reads == {"label"}
    assert (method.student_features, method.teacher_features) == (("a",), ("b",))
    assert not pkt.build().why_not_cached
    with pytest.raises(ValueError, match="weight"):
        pkt.build(weight=0.0)
