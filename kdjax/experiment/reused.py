"""Students that predict with the classifier of their teacher."""

import jax

from kdjax.contracts import InputError
from kdjax.experiment.builders import guarded
from kdjax.experiment.pretrained import REUSED, Teacher
from kdjax.methods.base import ReusedClassifier
from kdjax.models.network import Network
from kdjax.types import Outputs


def check_classifier(path: str, method: str, teacher: Teacher) -> None:
    """Raises InputError unless the teacher has one classifier, of the run's classes."""
    from kdjax.models.classifiers import classifier_of

    takes = f"{path}.method: {method} takes the teacher's classifier"
    if teacher.members > 1:
        raise InputError(
            f"{takes}, and config.teacher names {teacher.members} networks; expected a "
            "single one."
        )
    if "of_classes" in teacher.identity.get("adapted", {}):
        raise InputError(
            f"{takes}, and that has other classes than the run, or the same in another "
            "order; expected a teacher that was trained on the run's classes."
        )
    guarded(f"{path}.method: {method}", classifier_of, teacher.variables[0], "teacher")


def record_of(
    path: str, reused: ReusedClassifier, student: Outputs, teacher: Outputs, kernel
) -> dict:
    """What `rebuilt` makes the student's network of again, as JSON.

    `student` and `teacher` are shapes of what they give on the run's images.
    """
    own = student.features[reused.student_feature].shape
    other = teacher.features[reused.teacher_feature].shape
    if len(own) != 4 or len(other) != 4 or kernel.shape[0] != other[-1]:
        raise InputError(
            f"{path}.method: the teacher's classifier takes {kernel.shape[0]} "
            f"channels, and its {reused.teacher_feature} is {list(other[1:])}, the "
            f"student's {reused.student_feature} {list(own[1:])}; expected maps, and "
            "of the teacher the one that it pools for its classifier."
        )
    is_larger = own[1] > other[1]
    return {
        "feature": reused.student_feature,
        "channels": other[-1],
        "factor": reused.factor,
        "sides": list(other[1:3]) if is_larger else None,
    }


def rebuilt(network: Network, record: dict, classifier: tuple | None = None) -> Network:
    """The network with the classifier of another; zeros stand for it where None."""
    from kdjax.models.classifiers import Reuse, with_reused_classifier

    sides = record["sides"] and tuple(record["sides"])
    reuse = Reuse(**record | {"sides": sides})
    return with_reused_classifier(network, reuse, classifier)


def reusing(
    path: str,
    section: dict,
    reused: ReusedClassifier,
    network: Network,
    teacher: Teacher,
    outputs: tuple[Outputs, Outputs],
) -> Network:
    """The student's network with the teacher's classifier; records it in the section.

    `outputs` are the shapes of what student and teacher give.
    """
    from kdjax.models.classifiers import classifier_of

    kernel, bias = classifier_of(teacher.variables[0], "teacher")
    record = record_of(path, reused, *outputs, kernel) | {"bias": bias is not None}
    section[REUSED] = record
    is_shape = isinstance(kernel, jax.ShapeDtypeStruct)
    return rebuilt(network, record, None if is_shape else (kernel, bias))
