"""SimKD's objective beside its equation; runs are in tests/runner/test_reused.py."""

import numpy as np
import pytest

from kdjax.methods import METHODS, simkd
from tests.methods.given_features import given, normal, objective


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_the_error_of_the_maps_alone(weight):
    method = METHODS["simkd"].build(weight=weight)
    projected, teacher = normal(1, 3, 4, 4, 2), normal(2, 3, 8, 8, 2)
    inputs = given({"projected": projected}, {"stage3_preact": teacher})
    target = np.maximum(np.float64(teacher), 0)
    target = target.reshape(3, 4, 2, 4, 2, 2).mean((2, 4))
    expected = weight * ((projected - target) ** 2).mean()
    np.testing.assert_allclose(objective(method, inputs), expected, rtol=1e-5)


def test_what_it_declares():
    method = simkd.build(factor=4)
    assert method.reused_classifier == ("stage3_preact", "stage3_preact", 4)
    assert method.needs == ("teacher_classifier",) and method.needs_teacher
    assert not method.reads and method.supervisor is None


@pytest.mark.parametrize("factor", [0, 1.5, True])
def test_what_cannot_work_is_named(factor):
    with pytest.raises(ValueError, match="simkd: factor is"):
        simkd.build(factor=factor)
    with pytest.raises(ValueError, match="simkd: weight"):
        simkd.build(weight=0.0)
