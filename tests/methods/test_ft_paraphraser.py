"""The first stage of factor transfer: the paraphraser's reconstruction."""

import numpy as np
import pytest

from kdjax.methods import METHODS, ft_paraphraser
from tests.methods.given_features import given, normal, objective


def test_it_reconstructs_the_teachers_map():
    again, teacher = normal(1, 3, 4, 4, 3), normal(2, 3, 4, 4, 3)
    method = METHODS["ft_paraphraser"].build(teacher_feature="stage2")
    connected = {"paraphraser": {"reconstruction": again}}
    value = objective(method, given(teacher={"stage2": teacher}, connected=connected))
    expected = ((np.float64(again) - teacher) ** 2).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_what_it_declares():
    method = ft_paraphraser.build()
    assert not method.reads and method.student_features == ()
    assert method.teacher_features == ("stage3",) and method.supervisor is None
    assert method.connectors["paraphraser"].rate == 1


def test_what_cannot_work_is_named():
    with pytest.raises(ValueError, match="ft_paraphraser: k"):
        ft_paraphraser.build(k=0.0)
