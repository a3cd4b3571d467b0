"""Where a student and its teacher disagree most, in float64 NumPy."""

from typing import Any

import numpy as np
from scipy.special import log_softmax, rel_entr

from kdjax import contracts
from kdjax.analysis.student_teacher import finite


def most_disagreed(
    student_logits: Any, teacher_logits: Any, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(indices, scores) of the samples with the largest score, largest first.

        score = KL(p || m) / 2 + KL(q || m) / 2,   m = (p + q) / 2

    with p, q the softmax of the teacher's and of the student's logits: the
    Jensen-Shannon divergence, from 0 to log 2 nats. Ties are in order of the samples.
    Logits are [n, classes], finite; `count` above n gives all n.

    >>> student, teacher = [[0.0, 0.0], [9.0, 0.0]], [[0.0, 0.0], [0.0, 9.0]]
    >>> indices, scores = most_disagreed(student, teacher, 1)
    >>> indices, scores.round(3)
    (array([1]), array([0.692]))
    """
    where = "most_disagreed"
    both = {"student_logits": student_logits, "teacher_logits": teacher_logits}
    contracts.shapes(where, **{name: (x, "n classes") for name, x in both.items()})
    logits = [finite(where, name, x) for name, x in both.items()]
    q, p = (np.exp(log_softmax(x, axis=-1)) for x in logits)
    m = (p + q) / 2
    scores = np.sum(rel_entr(p, m) + rel_entr(q, m), axis=-1) / 2
    indices = np.argsort(-scores, kind="stable")[:count]
    return indices, scores[indices]
