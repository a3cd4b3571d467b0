"""RKD's objective against loops over pairs and triplets."""

import numpy as np
import pytest

from kdjax.methods import rkd
from kdjax.methods.fallback import with_label_fallback
from tests import reference
from tests.methods import given

LABELS = np.array([0, 3, 1, 4, 2], np.int32)


def smooth_l1(x):
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def relations(student, teacher):
    """(RKD-D, RKD-A): means over all pairs, all triplets."""
    n, pair, triplet = len(student), 0.0, 0.0
    both = [np.asarray(x, np.float64) for x in (student, teacher)]
    distances = [[[np.linalg.norm(a - b) for b in x] for a in x] for x in both]
    means = [np.sum(d) / (n * (n - 1)) for d in distances]
    for i in range(n):
        for j in range(n):
            own, other = (d[i][j] / m for d, m in zip(distances, means, strict=True))
            pair += smooth_l1(own - other)
            for k in range(n):
                cosines = []
                for x, d in zip(both, distances, strict=True):
                    scale = d[i][j] * d[i][k]
                    product = (x[j] - x[i]) @ (x[k] - x[i])
                    cosines.append(product / scale if scale else 0.0)
                triplet += smooth_l1(cosines[0] - cosines[1])
    return pair / n**2, triplet / n**3


def networks(seed=0):
    rng = np.random.default_rng(seed)
    student = given.outputs(rng, 5, pooled=(3,), stage4=(4,))
    return student, given.outputs(rng, 5, pooled=(6,), stage4=(2,))


@pytest.mark.parametrize("feature", ["pooled", "stage4"])
def test_the_objective(feature):
    method = rkd.build(weight=2.0, student_feature=feature, teacher_feature=feature)
    student, teacher = networks()
    values = given.terms(method, given.loss_inputs(method, student, teacher, LABELS))
    pair, triplet = relations(student.features[feature], teacher.features[feature])
    hot = reference.one_hot(LABELS, given.CLASSES)
    expected = {
        "hard_label": reference.cross_entropy(student.logits, hot).mean(),
        "distances": 50 * pair,
        "angles": 100 * triplet,
    }
    assert values == pytest.approx(expected, rel=1e-5)


def test_relations_of_selected_samples_alone():
    """Each set has its mean: others have their labels, the selected both."""
    method, selection = rkd.build(), np.float32([1, 0, 1, 1, 0])
    student, teacher = networks(1)
    inputs = given.loss_inputs(method, student, teacher, LABELS, selection)
    values = given.terms(with_label_fallback(method, "sets"), inputs)
    kept = selection > 0
    pair, triplet = relations(
        student.features["pooled"][kept], teacher.features["pooled"][kept]
    )
    hot = reference.one_hot(LABELS, given.CLASSES)
    loss = reference.cross_entropy(student.logits, hot)
    expected = {
        "label_unselected": loss[~kept].mean(),
        "hard_label": loss[kept].mean(),
        "distances": 25 * pair,
        "angles": 50 * triplet,
    }
    assert values == pytest.approx(expected, rel=1e-5)


def test_what_it_declares_and_leaves_out():
    method = rkd.build(student_feature="a", teacher_feature="b", angle_weight=0.0)
    assert [term.name for term in method.terms] == ["hard_label", "distances"]
    assert method.needs_teacher and method.reads == {"label"}
    assert (method.student_features, method.teacher_features) == (("a",), ("b",))
    assert not rkd.build().why_not_cached


@pytest.mark.parametrize(
    ("name", "value"), [("weight", 0), ("distance_weight", -1), ("angle_weight", -1)]
)
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        rkd.build(**{name: value})
