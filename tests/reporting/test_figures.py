"""Figures are written, and hold a line or a cluster of everything they are given."""

import matplotlib.image
import numpy as np
import pytest

from kdjax.reporting import figures
from kdjax.reporting.figures import COLOURS


def colours_in(path, opacity=1.0):
    """How many pixels have each colour of the palette over white, nearly."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    image = matplotlib.image.imread(path)[..., :3] * 255
    palette = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS])
    palette = opacity * palette + (1 - opacity) * 255
    return [int((np.abs(image - rgb).max(-1) < 12).sum()) for rgb in palette]


def norms(number, centre=5.0):
    return np.random.default_rng(number).gamma(centre, size=400)


def cluster(number, count=90):
    rng = np.random.default_rng(number)
    labels = np.arange(count) % 3
    centres = np.array([[0, 0], [6, 0], [3, 5]])
    return rng.normal(size=(count, 2)) * [1, 1 + number] + centres[labels], labels


NAMES = {0: "apple", 1: "aquarium_fish", 2: "baby"}


def test_a_line_a_student(tmp_path):
    path = tmp_path / "new" / "distances.png"
    distances = {f"student {i}": norms(i, 3 + 4 * i) for i in range(3)}
    figures.densities(distances, path, "Distance", "distance")
    counts = colours_in(path)
    assert min(counts[1:4]) > 100 and max(counts[4:]) == 0


def test_the_teacher_is_the_black_line(tmp_path):
    path = tmp_path / "norms.png"
    students = {"kd": norms(1), "mse": norms(2)}
    figures.densities(students, path, "Norm", "norm")
    without = colours_in(path)
    assert min(without[1:3]) > 100 and max(without[3:]) == 0
    teacher = norms(3, 12.0)
    figures.densities(students, path, "Norm", "norm", teacher)
    counts = colours_in(path)
    assert min(counts[1:3]) > 100 and max(counts[3:]) == 0
    # Text is black too; the teacher's line and its sample in the legend come on top.
    assert counts[0] > without[0] + 500


def test_a_network_compared_with_itself(tmp_path):
    path = tmp_path / "distances.png"
    distances = {"itself": np.zeros(5), "student": norms(1)}
    figures.densities(distances, path, "Distance", "distance")
    # A vertical line through the whole panel, and a curve.
    assert min(colours_in(path)[1:3]) > 300


@pytest.mark.parametrize("count", [1, 4])
def test_a_panel_a_network(tmp_path, count):
    path = tmp_path / "projection.png"
    clusters = {f"net {i}": cluster(i) for i in range(count)}
    figures.class_projections(clusters, NAMES, path)
    counts = colours_in(path, opacity=0.5)
    # A sample in the legend has some 80 pixels; the others are points of clusters.
    assert min(counts[1:4]) > 200 * count and max(counts[4:]) == 0
    height, width = matplotlib.image.imread(path).shape[:2]
    assert (width > height) is (count > 1)


@pytest.mark.errors
def test_refused(tmp_path):
    with pytest.raises(ValueError, match="values go down to -1"):
        students = {"kd": np.array([-1.0, 2.0])}
        figures.densities(students, tmp_path / "a.png", "Norm", "norm")
    with pytest.raises(ValueError, match="no network"):
        figures.class_projections({}, NAMES, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"kd has points of labels \[0, 1, 2\]"):
        figures.class_projections(
            {"kd": cluster(0)}, {0: "a", 1: "b"}, tmp_path / "a.png"
        )
    assert not list(tmp_path.iterdir())


def test_a_dozen_students_use_every_colour(tmp_path):
    path = tmp_path / "distances.png"
    distances = {f"student {i}": norms(i, 3 + 4 * i) for i in range(12)}
    figures.densities(distances, path, "Distance", "distance")
    assert min(colours_in(path)[1:]) > 100
