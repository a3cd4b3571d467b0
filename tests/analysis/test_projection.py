"""The plane through three templates, and what is long and what is round in it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.analysis.projection import elongation, three_class_projection

SEEDS = given(st.integers(0, 2**32 - 1), st.integers(2, 20))


@SEEDS
@settings(max_examples=50, deadline=None)
def test_the_plane_is_kept_and_the_rest_is_dropped(seed, dim):
    rng = np.random.default_rng(seed)
    templates, shift = rng.normal(size=(3, dim)), rng.normal(size=(8, dim))
    edges = templates[1:] - templates[0]
    inside = templates[0] + rng.normal(size=(8, 2)) @ edges
    # Least squares takes from a shift what lies along the edges.
    shift -= (edges.T @ np.linalg.lstsq(edges.T, shift.T, rcond=None)[0]).T
    points = three_class_projection(inside, templates)
    np.testing.assert_allclose(
        three_class_projection(inside + shift, templates), points, atol=1e-8
    )
    apart = np.linalg.norm(inside[:, None] - inside[None], axis=-1)
    found = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.testing.assert_allclose(found, apart, rtol=1e-7, atol=1e-8)


@SEEDS
@settings(max_examples=50, deadline=None)
def test_axes_are_fixed_by_the_templates(seed, dim):
    rng = np.random.default_rng(seed)
    templates, features = rng.normal(size=(3, dim)), rng.normal(size=(5, dim))
    a, b, c = three_class_projection(templates, templates)
    assert b[1] == pytest.approx(a[1], abs=1e-8) and b[0] > a[0] and c[1] > a[1]
    # A rotation of the whole space, or longer templates, change nothing.
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    points = three_class_projection(features, templates)
    for other in (
        three_class_projection(features @ turn, templates @ turn),
        three_class_projection(features, 3 * templates),
    ):
        np.testing.assert_allclose(other, points, rtol=1e-6, atol=1e-7)


def test_worked_example():
    # Edges (0, 2, 0) and (0, 1, 3): axes are y and z, x is dropped.
    templates = [[1, 1, 1], [1, 3, 1], [1, 2, 4]]
    found = three_class_projection([[9.0, 5.0, -7.0]], templates)
    np.testing.assert_allclose(found, [[5.0, -7.0]], atol=1e-12)


def ring(long, short, turn=0.0, centre=(0.0, 0.0)):
    """An ellipse, evenly sampled: deviations along its axes have the ratio of these."""
    angle = np.arange(60) * 2 * np.pi / 60
    points = np.stack([long * np.cos(angle), short * np.sin(angle)], -1)
    c, s = np.cos(turn), np.sin(turn)
    return points @ [[c, s], [-s, c]] + centre


def test_elongation_is_the_ratio_of_the_axes_wherever_they_point():
    clusters = {
        3: (ring(4, 2, turn=0.7, centre=(100, -50)), 2.0),
        11: (ring(1, 1), 1.0),
        5: (ring(0.01, 0.1, turn=2), 10.0),
    }
    points = np.concatenate([cluster for cluster, _ in clusters.values()])
    labels = np.repeat(list(clusters), 60)
    shuffled = np.random.default_rng(0).permutation(len(labels))
    found = elongation(points[shuffled], labels[shuffled])
    assert found == pytest.approx({label: r for label, (_, r) in clusters.items()})
    assert all(type(label) is int for label in found)


def test_a_line_is_infinitely_long():
    line = np.outer([0, 1, 2, 3], [0.3, 0.1]) + [5, 7]
    assert elongation(line, [0, 0, 0, 0]) == {0: float("inf")}


@pytest.mark.errors
@pytest.mark.parametrize(
    "templates, message",
    [
        ([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], "class_weights lie on one line"),
        ([[1.0, 1.0], [1.0, 1.0], [2.0, 0.0]], "class_weights lie on one line"),
        ([[1.0, 1.0], [2.0, 0.0], [1.0, 1.0]], "class_weights lie on one line"),
        ([[1.0, 1.0], [2.0, 0.0]], "class_weights has 2 templates; expected 3"),
        (np.eye(3), "class_weights has dim=3"),
        ([[1.0, np.nan], [2.0, 0.0], [0.0, 0.0]], "class_weights has 1 of its 6"),
    ],
)
def test_no_plane(templates, message):
    with pytest.raises(ValueError, match=f"three_class_projection: {message}"):
        three_class_projection(np.zeros((4, 2)), templates)


@pytest.mark.errors
@pytest.mark.parametrize(
    "points, labels, message",
    [
        (np.zeros((4, 2)), [0, 0, 0, 0], r"label 0 has 4 point\(s\) in 1 place\(s\)"),
        (np.eye(2), [7, 7], r"label 7 has 2 point\(s\)"),
        (np.ones((1, 2)), [7], r"label 7 has 1 point\(s\)"),
        (np.eye(3), [0, 0, 0], r"points have shape \(3, 3\); expected \[n, 2\]"),
        (np.eye(2), [0, 0, 0], "labels has n=3"),
    ],
)
def test_no_cluster(points, labels, message):
    with pytest.raises(ValueError, match=f"elongation: {message}"):
        elongation(points, labels)
