"""The samples on which two networks differ most, against SciPy's distance."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from kdjax.analysis.disagreement import most_disagreed

RNG = np.random.default_rng(3)
STUDENT, TEACHER = (RNG.normal(size=(40, 7)) * scale for scale in (2.0, 30.0))


def test_scores_are_the_divergence_of_jensen_and_shannon():
    indices, scores = most_disagreed(STUDENT, TEACHER, 40)
    distance = jensenshannon(softmax(STUDENT, -1), softmax(TEACHER, -1), axis=-1)
    np.testing.assert_allclose(scores, distance[indices] ** 2, rtol=1e-10)
    assert sorted(indices) == list(range(40))
    assert (np.diff(scores) <= 0).all()


def test_the_first_of_equals_come_first():
    rows = [1, 0, 0, 1, 0]
    indices, _ = most_disagreed(STUDENT[rows], TEACHER[rows], 3)
    assert list(indices) in ([0, 3, 1], [1, 2, 4])


def test_far_logits_give_log_2_and_no_nan():
    _, scores = most_disagreed([[1e4, -1e4]], [[-1e4, 1e4]], 5)
    np.testing.assert_allclose(scores, [np.log(2)])


@pytest.mark.errors
def test_logits_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="most_disagreed"):
        most_disagreed(STUDENT, TEACHER[:, :3], 2)
