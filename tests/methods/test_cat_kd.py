"""CAT-KD beside its equation."""

import jax
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.methods import METHODS, cat_kd
from tests.methods.given_features import cross_entropy, given, normal, objective

OWN, OTHER = normal(1, 3, 4, 4, 2), normal(2, 3, 8, 8, 5)
STUDENT = {"head": {"kernel": normal(3, 2, 4), "bias": normal(4, 4)}}
TEACHER = {"head": {"kernel": normal(5, 5, 4), "bias": normal(6, 4)}}


def pooled(x, params, bias, normalise):
    """[batch, 2, 2, classes], position by position."""
    x, kernel = np.maximum(np.float64(x), 0), np.float64(params["head"]["kernel"])
    maps = np.zeros((*x.shape[:3], 4))
    for k in range(4):
        maps[..., k] = (x * kernel[:, k]).sum(-1) + bias * params["head"]["bias"][k]
    half = x.shape[1] // 2
    result = np.zeros((len(x), 2, 2, 4))
    for i in range(2):
        for j in range(2):
            part = maps[:, i * half : (i + 1) * half, j * half : (j + 1) * half]
            result[:, i, j] = part.mean((1, 2))
    if normalise:
        result /= np.sqrt((result**2).sum((1, 2), keepdims=True))
    return result


def inputs_of(student=STUDENT, teacher=TEACHER):
    return given(
        {"stage3_preact": OWN},
        {"stage3_preact": OTHER},
        teacher_variables=(teacher, {}),
        student_parameters=student,
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("normalise", "label"), [(False, 1.0), (True, 0)])
def test_the_equation(bias, normalise, label):
    arguments = {"bias": bias, "normalise": normalise, "label_weight": label}
    method = METHODS["cat_kd"].build(weight=2.0, **arguments)
    own, other = (
        pooled(x, params, bias, normalise)
        for x, params in ((OWN, STUDENT), (OTHER, TEACHER))
    )
    expected = label * cross_entropy() + 2.0 * ((own - other) ** 2).mean()
    np.testing.assert_allclose(objective(method, inputs_of()), expected, rtol=1e-5)


def test_the_students_classifier_learns_of_its_maps():
    method = cat_kd.build()
    slope = jax.grad(lambda params: objective(method, inputs_of(params)))(STUDENT)
    assert (np.asarray(slope["head"]["kernel"]) != 0).all()


def test_what_it_declares():
    method = cat_kd.build()
    assert {"teacher_variables", "student_parameters"} <= set(method.needs)
    assert "teacher_classifier" in method.needs and method.needs_teacher
    assert method.reads == {"label"} and not cat_kd.build(label_weight=0).reads


def test_what_cannot_work_is_named():
    with pytest.raises(InputError, match="the teacher has no classifier head/kernel"):
        objective(cat_kd.build(), inputs_of(teacher={"Dense_0": {}}))
    for name, value in (("weight", 0.0), ("label_weight", -1.0), ("resolution", 0)):
        with pytest.raises(ValueError, match=f"cat_kd: {name}"):
            cat_kd.build(**{name: value})
