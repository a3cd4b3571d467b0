import math

import numpy as np
import pytest

from kdjax.methods import METHODS
from tests import reference
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    CLASSES,
    LABELS,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    labels_only,
    value_of,
)

KERNEL = np.float32(np.random.default_rng(4).normal(size=(5, CLASSES)))
HEAD = {"teacher_variables": ({"head": {"kernel": KERNEL}}, {})}
FACTS = {"steps_per_epoch": 4.0, "total_steps": 80}  # 20 epochs


def cosines():
    w = np.float64(KERNEL)
    table = np.zeros((CLASSES, CLASSES))
    for i in range(CLASSES):
        for j in range(CLASSES):
            lengths = np.sqrt((w[:, i] ** 2).sum() * (w[:, j] ** 2).sum())
            table[i, j] = (w[:, i] * w[:, j]).sum() / lengths
    return table


def moved(s, t, y, cost, tau, r=0.05, iterations=10):
    rest = [k for k in range(CLASSES) if k != y]
    q, p = (reference.softmax(z[None, rest], tau)[0] for z in (s, t))
    c = np.maximum(cost[np.ix_(rest, rest)], 0.0)
    kernel = np.exp(-c / r)
    u = np.full(len(rest), 1 / len(rest))
    for _ in range(iterations):
        v = p / (kernel.T @ u)
        u = q / (kernel @ v)
    return sum(
        u[i] * kernel[i, j] * v[j] * c[i, j]
        for i in range(len(rest))
        for j in range(len(rest))
    )


def objective(student, similarity, weight, tau=8.0, rows=range(BATCH)):
    cost = 1 - np.exp(-np.maximum(1 - similarity, 0))
    p, q = reference.softmax(TEACHER), reference.softmax(student)
    total = 0.0
    for i in rows:
        y = LABELS[i]
        total -= p[i, y] * np.log(q[i, y])
        total += weight * moved(student[i], TEACHER[i], y, cost, tau)
    return labels_only(student) + total / BATCH


def build(**changes):
    return METHODS["wkd_l"].build(**FACTS | changes)


def test_the_objective_is_the_papers_on_the_teachers_classifier():
    method, alike = build(weight=30.0), cosines()
    check(
        method,
        objective(STUDENT, alike, 30.0),
        lambda s: objective(s, alike, 30.0),
        declared=HEAD,
    )
    value = value_of(method, selection=SELECTION, declared=HEAD)
    expected = objective(STUDENT, alike, 30.0, rows=CHOSEN)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert "teacher_classifier" in method.needs and method.reads == {"label"}
    assert method.why_not_cached


def test_a_similarity_from_a_file_needs_no_live_teacher(tmp_path):
    table = np.random.default_rng(5).uniform(size=(CLASSES, CLASSES))
    np.fill_diagonal(table, 1.0)
    path = tmp_path / "similarity.npy"
    np.save(path, table)
    method = build(similarity=str(path), temperature=2.0)
    check(method, objective(STUDENT, table, 600.0, tau=2.0))
    assert method.needs == () and not method.why_not_cached


@pytest.mark.parametrize("step", [0, 39, 40, 60, 79])
def test_the_weight_falls_after_an_epoch(step):
    method = build(weight=30.0, decay_epoch=10.0)
    part = max(step // 4 + 1 - 10, 0) / 10
    weight = 0.5 * 30 * (1 + math.cos(math.pi * part))
    expected = objective(STUDENT, cosines(), weight)
    check(method, expected, step=step, declared=HEAD)


def test_a_run_that_ends_before_has_the_whole_weight():
    assert build().terms[-1].coefficient == 600.0


def test_other_teachers_are_refused():
    for variables in (({"dense": {}}, {}), None):
        with pytest.raises(ValueError, match="no last layer of the name 'head'"):
            value_of(build(), declared={"teacher_variables": variables})


def test_files_that_do_not_serve_are_refused(tmp_path):
    with pytest.raises(ValueError, match="similarity is 'clasifier'; expected 'class"):
        build(similarity="clasifier")
    for name, table, message in (
        ("flat", np.ones(7), "similarity has shape"),
        ("large", 2 * np.ones((7, 7)), "similarity above 1"),
    ):
        np.save(tmp_path / f"{name}.npy", table)
        with pytest.raises(ValueError, match=message):
            build(similarity=str(tmp_path / f"{name}.npy"))
    with pytest.raises(ValueError, match="wkd_l: iterations is 0"):
        build(iterations=0)


@pytest.mark.parametrize(
    "argument", ["weight", "temperature", "sharpness", "regularisation"]
)
def test_numbers_are_above_zero(argument):
    with pytest.raises(ValueError, match=f"wkd_l: {argument} is 0"):
        build(**{argument: 0.0})
