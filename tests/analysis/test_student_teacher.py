"""The quantities of arXiv:2105.08919: goldens, identities, and what they react to."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.analysis import student_teacher
from tests import reference
from tests.reference import GOLDEN_STUDENT, GOLDEN_TEACHER


def quantity(name):
    return lambda *pair: student_teacher.compare_logits(*pair)[name]


def logits(seed, shape=(50, 7)):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=3, size=shape), rng.normal(scale=3, size=shape)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("half_mean_square", [0.96125, 0.30000, 0.49625]),
        ("delta_infinity", [-0.0153125, -0.005, -0.0153125]),
        ("logit_matching", [0.945938, 0.295000, 0.480938]),
        ("logit_distance", np.sqrt([7.69, 2.40, 3.97])),
        # (2.8 - 3.5) / 4, (1.1 - 1.5) / 4, (2.6 - 3.3) / 4
        ("logit_mean_gap", [-0.175, -0.1, -0.175]),
        # classes 2, 1, 3 against 0, 1, 2
        ("agreement", [False, True, False]),
    ],
)
def test_golden(name, expected):
    values = student_teacher.compare_logits(GOLDEN_STUDENT, GOLDEN_TEACHER)[name]
    assert values.dtype == (bool if name == "agreement" else np.float64)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


def test_distance_squared():
    found = quantity("logit_distance")(GOLDEN_STUDENT, GOLDEN_TEACHER) ** 2
    np.testing.assert_allclose(found, [7.69, 2.40, 3.97], rtol=0, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_the_three_belong_together(seed, classes):
    pair = logits(seed, (6, classes))
    matching = quantity("logit_matching")(*pair)
    parts = quantity("half_mean_square")(*pair) + quantity("delta_infinity")(*pair)
    np.testing.assert_allclose(matching, parts, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        matching, reference.logit_matching(*pair), rtol=1e-9, atol=1e-12
    )


def test_the_limit_is_that_of_kl():
    student, teacher = logits(3, (4, 5))
    kl, _ = reference.kl_divergence(student, teacher, 1e6)
    limit = quantity("logit_matching")(student, teacher)
    np.testing.assert_allclose(1e12 * kl, limit, rtol=1e-5)


def test_matching_leaves_the_mean_free_and_mse_does_not():
    student, teacher = logits(5)
    moved = student + 2.5
    gap = quantity("logit_mean_gap")(moved, teacher)
    np.testing.assert_allclose(gap, quantity("logit_mean_gap")(student, teacher) + 2.5)
    for function, stays in (
        (quantity("logit_matching"), True),
        (quantity("half_mean_square"), False),
        (quantity("delta_infinity"), False),
        (quantity("logit_distance"), False),
    ):
        same = np.isclose(function(moved, teacher), function(student, teacher))
        assert same.all() if stays else same.mean() < 0.1


def test_small_differences_of_large_logits():
    # As a difference of two sums the variance would lose all its digits here.
    student = np.array([[1e8, 1e8 + 1.0]])
    assert quantity("logit_matching")(student, np.zeros((1, 2))) == [0.125]


def test_ties_are_the_lowest_index():
    assert quantity("agreement")([[1, 1, 0]], [[2, 0, 2]]).all()
    assert not quantity("agreement")([[1, 1, 0]], [[0, 2, 2]]).any()


def test_feature_norms():
    features = jnp.array([[3.0, 4.0], [0.0, 0.0]], jnp.bfloat16)
    found = student_teacher.feature_norms(features)
    assert found.dtype == np.float64 and found.tolist() == [5.0, 0.0]


def test_summary():
    student, teacher = logits(7, (21, 4))
    features = np.outer(np.arange(21), [3.0, 4.0])  # norms 0, 5, ..., 100
    found = student_teacher.summary(
        student,
        teacher,
        student_feature_norms=student_teacher.feature_norms(features),
        teacher_feature_norms=features[:, 0],
    )
    assert all(type(value) is float for value in found.values())
    assert found["count"] == 21
    assert found["student_feature_norm/mean"] == 50
    assert found["student_feature_norm/q05"] == 5
    assert found["student_feature_norm/median"] == 50
    assert found["student_feature_norm/q95"] == 95
    assert found["teacher_feature_norm/q95"] == 57
    same = student.argmax(1) == teacher.argmax(1)
    assert found["agreement"] == pytest.approx(100 * same.mean())
    gap = (student - teacher).mean()
    assert found["logit_mean_gap/mean"] == pytest.approx(gap)
    quantities = {name.split("/")[0] for name in found} - {"count", "agreement"}
    assert quantities == student_teacher.compare_logits(student, teacher).keys() - {
        "agreement"
    } | {
        "student_feature_norm",
        "teacher_feature_norm",
    }
    without = student_teacher.summary(student, teacher)
    assert without == {k: v for k, v in found.items() if "feature" not in k}


@pytest.mark.errors
def test_refused():
    function, name = student_teacher.compare_logits, "compare_logits"
    with pytest.raises(ValueError, match=f"{name}: teacher_logits has n=3"):
        function(np.zeros((2, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=f"{name}: student_logits has shape"):
        function(np.zeros(4), np.zeros((1, 4)))
    with pytest.raises(ValueError, match=f"{name}: teacher_logits has 1 of its 4"):
        function(np.zeros((1, 4)), [[0.0, np.nan, 0.0, 0.0]])
    with pytest.raises(ValueError, match=f"{name}: student_logits has n=0"):
        function(np.zeros((0, 4)), np.zeros((0, 4)))


@pytest.mark.errors
def test_features_refused():
    with pytest.raises(ValueError, match="feature_norms: features has 1 of its 2"):
        student_teacher.feature_norms([[np.inf, 0.0]])
    with pytest.raises(ValueError, match="teacher_feature_norms has n=3"):
        student_teacher.summary(
            np.zeros((2, 4)), np.ones((2, 4)), teacher_feature_norms=np.zeros(3)
        )
