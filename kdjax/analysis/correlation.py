"""How the logits of classes go together, and whether a student learnt it."""

from typing import Any

import numpy as np

from kdjax import contracts
from kdjax.analysis.student_teacher import finite


def class_correlation(logits: Any) -> np.ndarray:
    """Pearson's correlation between the logits of every two classes over the images.

    Tian et al. 2020 (arXiv:1910.10699) draw the difference of this matrix between
    teacher and student: what of the teacher's relations between classes is not learnt.

    Logits [n, classes] become [classes, classes], symmetric, from -1 to 1, in float64.
    ValueError where the logits of a class are the same on all images.

    >>> class_correlation([[1.0, 2.0], [2.0, 0.0], [3.0, 1.0]])
    array([[ 1. , -0.5],
           [-0.5,  1. ]])
    """
    contracts.shapes("class_correlation", logits=(logits, "n classes"))
    logits = finite("class_correlation", "logits", logits)
    centred = logits - logits.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    constant = constant_classes(logits)
    if constant.any():
        raise ValueError(
            f"class_correlation: the logits of class {np.argmax(constant)} are the "
            f"same on all {len(logits)} images; expected different ones."
        )
    unit = centred / norms
    return np.clip(unit.T @ unit, -1.0, 1.0)


def constant_classes(logits: Any) -> np.ndarray:
    """Bool [classes]: whose logit is the same on all images, up to float64's rounding.

    >>> constant_classes([[1.0, 2.0], [1.0, 3.0]])
    array([ True, False])
    """
    contracts.shapes("constant_classes", logits=(logits, "n classes"))
    logits = finite("constant_classes", "logits", logits)
    # What rounding leaves of a constant column is no spread.
    spread = np.linalg.norm(logits - logits.mean(axis=0), axis=0)
    return spread <= 1e-12 * np.linalg.norm(logits, axis=0)


def correlation_difference(student_logits: Any, teacher_logits: Any) -> np.ndarray:
    """`class_correlation` of the student minus that of the teacher, from -2 to 2."""
    student, teacher = map(class_correlation, (student_logits, teacher_logits))
    contracts.shapes(
        "correlation_difference",
        student_logits=(student, "classes classes"),
        teacher_logits=(teacher, "classes classes"),
    )
    return student - teacher
