"""What cannot be compared is refused by shapes, before anything is compiled."""

import jax
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.experiment.methods import is_checked
from kdjax.experiment.networks import outputs_of
from kdjax.experiment.shapes import check_shapes, declared_of
from kdjax.methods import METHODS, fitnets, kdsvd
from kdjax.methods.base import STEP_NEEDS
from kdjax.preflight.plans import plan
from kdjax.types import Outputs
from tests.methods import field
from tests.methods.on_features import SIDES, pair
from tests.test_repdistiller_config import SMALL, described, parts
from tests.training import problems

IMAGE = (problems.SIZE, problems.SIZE, 1)


@pytest.mark.parametrize("name", field.CASES)
def test_what_trains_passes(name):
    method = field.method_of(name)
    network, other = field.network_of(method), field.teacher_of(name)
    student = outputs_of("config.model", network, IMAGE)
    teacher = outputs_of("config.teacher", other, IMAGE)
    images = np.zeros((2, *IMAGE), np.float32)
    variables = jax.eval_shape(other.init, jax.random.key(0), images)
    declared = declared_of(method, network, IMAGE, variables)
    assert declared.keys() == {*method.needs} & {*STEP_NEEDS} - {"image_gradients"}
    if is_checked(method):
        check_shapes("config.method", method, student, teacher, **declared)


def test_only_what_needs_more_than_a_batch_is_not_checked():
    methods = {name: field.method_of(name) for name in field.CASES}
    reads = {
        name
        for name, one in methods.items()
        if one.teacher_features or {*one.needs} & {*STEP_NEEDS}
    }
    skipped = reads - {name for name, one in methods.items() if is_checked(one)}
    assert skipped == {"jacobian"}
    assert is_checked(methods["wkd_l"])


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


@pytest.mark.parametrize(
    "words, overrides, teachers, message",
    [
        ("ofd", [], ["resnet8", "resnet8"], "the teacher's stage1"),
        ("ofd", [], ["shufflenet_v2"], "no batch norm"),
        ("cat_kd", ["student_feature=stage1_preact"], ["resnet8"], "channels"),
        ("cat_kd", ["teacher_feature=stage1_preact"], ["resnet8"], "channels"),
        ("wkd_l", [], ["resnet8", "resnet8"], "wkd_l takes the teacher.s classifier"),
        ("queue_kl", ["queue_length=63"], ["resnet8"], "queue_length is 63 and the ba"),
    ],
)
def test_a_run_that_cannot_be_traced_is_not_built(words, overrides, teachers, message):
    overrides = [f"method.{one}" for one in overrides]
    (part,) = parts(words, teachers[0], "resnet8", overrides=overrides)
    with pytest.raises(InputError, match=f"^config.method: .*{message}"):
        plan(part, described(), [{"name": name} for name in teachers])


def test_a_queue_of_one_batch_is_built():
    (part,) = parts("queue_kl", *SMALL, overrides=["method.queue_length=64"])
    assert plan(part, described(), [{"name": SMALL[0]}]).experiment.students
