"""The second stage of factor transfer beside its equations."""

import jax
import numpy as np
import pytest

from kdjax.methods import ft, ft_paraphraser
from tests.methods.given_features import cross_entropy, given, normal, objective

STUDENT, TEACHER = normal(1, 3, 4, 4, 3), normal(2, 3, 4, 4, 3)


def attention(x):
    """Per sample: mean over channels of squares, of length 1."""
    rows = []
    for sample in np.float64(x):
        q = (sample**2).mean(-1).ravel()
        rows.append(q / np.sqrt((q**2).sum()))
    return np.array(rows)


def whole(x):
    rows = np.float64(x).reshape(len(x), -1)
    return rows / np.sqrt((rows**2).sum(1, keepdims=True))


def of_factors(student, teacher):
    connected = {"translator": {"factor": student}, "paraphraser": {"factor": teacher}}
    return given(connected=connected)


@pytest.mark.parametrize(("form", "weight"), [("repdistiller", 200.0), ("paper", 3.0)])
def test_both_forms_of_the_second_stage(form, weight):
    method = ft.build(form=form, weight=weight)
    value = objective(method, of_factors(STUDENT, TEACHER))
    if form == "paper":
        distance = np.abs(whole(STUDENT) - whole(TEACHER)).sum(1).mean()
    else:
        distance = np.abs(attention(STUDENT) - attention(TEACHER)).mean()
    expected = cross_entropy() + weight * distance
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_teachers_factor_is_a_constant():
    to_teacher, to_student = jax.grad(
        lambda t, s: objective(ft.build(), of_factors(s, t)), argnums=(0, 1)
    )(TEACHER, STUDENT)
    assert (np.asarray(to_teacher) == 0).all()
    assert np.isfinite(to_student).all() and (np.asarray(to_student) != 0).any()


def test_what_it_declares():
    first, second = ft_paraphraser.build(), ft.build()
    assert second.reads == {"label"} and second.student_features == ("stage3",)
    assert first.teacher_features == second.teacher_features == ("stage3",)
    # One name, so that the second stage takes it over; there it is frozen.
    assert first.connectors["paraphraser"].rate == 1
    assert second.connectors["paraphraser"].rate == 0
    assert second.connectors["translator"].rate == 1


def test_what_cannot_work_is_named():
    with pytest.raises(ValueError, match="ft: form is 'papers'.*Did you mean paper?"):
        ft.build(form="papers")
    with pytest.raises(ValueError, match="ft: weight"):
        ft.build(weight=0.0)
    with pytest.raises(ValueError, match="ft: k"):
        ft.build(k=0.0)
