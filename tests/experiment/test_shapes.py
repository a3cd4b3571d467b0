"""What cannot be compared is refused by shapes, before anything is compiled."""

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.experiment.networks import outputs_of
from kdjax.experiment.shapes import check_shapes
from kdjax.methods import METHODS, fitnets, kdsvd
from kdjax.types import Outputs
from tests.methods import field
from tests.methods.on_features import SIDES, pair
from tests.training import problems

IMAGE = (problems.SIZE, problems.SIZE, 1)


@pytest.mark.parametrize("name", field.CASES)
def test_what_trains_passes(name):
    method = field.method_of(name)
    student = outputs_of("config.model", field.network_of(method), IMAGE)
    teacher = outputs_of("config.teacher", field.teacher_of(name), IMAGE)
    check_shapes("config.method", method, student, teacher)


def test_connectors_and_terms_refuse_what_they_cannot_take():
    sides, levels = SIDES | {"stage2": 3, "stage3": 4}, ("stage2", "stage3")
    student, teacher = pair(sides)
    with pytest.raises(InputError, match="config.method: HintRegressors: the student"):
        check_shapes("config.method", fitnets.build(), student, teacher)
    names = {"student_features": levels, "teacher_features": levels}
    with pytest.raises(InputError, match="config.method: singular_vector_rbf: "):
        check_shapes("config.method", kdsvd.build(**names), student, teacher)


def test_classes_that_differ_are_refused_too():
    method = METHODS["kd"].build(alpha=0.9, temperature=4.0)
    few, more = (Outputs(np.zeros((2, k), np.float32), {}) for k in (3, 4))
    with pytest.raises(InputError, match="config.method: .*has classes=4"):
        check_shapes("config.method", method, few, more)
