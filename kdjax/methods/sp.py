"""SP: which samples of a batch are similar, by the features of both networks.

F. Tung, G. Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019
(arXiv:1907.09682).

    L = CE(s, y) + b sum_l ||G^t_l - G^s_l||_F^2 / n^2
    G = F F^T with rows divided by their lengths, F the features as [n, -1]

| symbol | argument                           |
|--------|------------------------------------|
| b      | weight                             |
| F_l    | student_features, teacher_features |

The published numbers are RepDistiller's: the last stage, weight 3000 for all pairs
(tuned per pair: no), batches of 64.

Departs from the paper: nothing. Only selected samples are in the matrices, of the whole
batch on any number of devices.
"""

from kdjax import losses
from kdjax.methods.base import Method
from kdjax.methods.features import STAGES, beside_labels, pairs_of

REFERENCE = "Tung & Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019"


def build(
    *,
    weight: float = 3000.0,
    student_features: tuple[str, ...] = STAGES[-1:],
    teacher_features: tuple[str, ...] = STAGES[-1:],
) -> Method:
    """Cross entropy and the similarities within the batch.

    Args:
      weight: > 0.
      student_features, teacher_features: maps or pooled, as many of both; channels and
        sides may differ.
    """
    pairs = pairs_of("sp", student_features, teacher_features)

    def values(inputs):
        student, teacher = inputs.student.features, inputs.teacher.features
        return sum(
            losses.similarity_preserving(student[s], teacher[t], inputs.selection)
            for s, t in pairs
        )

    return beside_labels("sp", "similarity_preserving", weight, values, pairs)
