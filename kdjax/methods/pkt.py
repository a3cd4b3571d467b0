"""Probabilistic knowledge transfer: similarities of the samples as probabilities.

N. Passalis, A. Tefas, "Learning Deep Representations with Probabilistic Knowledge
Transfer", ECCV 2018 (arXiv:1803.10837).

    P_ij = k_ij / sum_j k_ij,   k_ij = (cosine(x_i, x_j) + 1) / 2
    L = CE(s, y) + weight mean_ij P^t_ij log(P^t_ij / P^s_ij)

| symbol   | argument                         |
|----------|----------------------------------|
| features | student_feature, teacher_feature |

RepDistiller's numbers on CIFAR-100 have a weight of 30000, the same for all 13 pairs.

Departs from the paper: pairs of a sample with itself are included, 1e-7 is added to
numerator and denominator, and the mean runs over all pairs, as in the code of the first
author (`losses.probabilistic_knowledge`). A run that selects samples has the
similarities of the selected ones alone.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label

REFERENCE = "Passalis and Tefas, Probabilistic Knowledge Transfer, ECCV 2018"


def build(
    *,
    weight: float = 30000.0,
    student_feature: str = "pooled",
    teacher_feature: str = "pooled",
) -> Method:
    """Cross entropy and the divergence of similarities.

    Args:
      weight: of the divergence, > 0.
      student_feature, teacher_feature: [batch, channels]; channels may differ.
    """
    contracts.positive("pkt", "weight", weight)

    def similarities(inputs):
        student = inputs.student.features[student_feature]
        teacher = inputs.teacher.features[teacher_feature]
        where = inputs.selection
        return losses.probabilistic_knowledge(student, teacher, where=where)

    return Method(
        terms=(hard_label(1.0), Term("similarities", weight, similarities, NOTHING)),
        needs_teacher=True,
        student_features=(student_feature,),
        teacher_features=(teacher_feature,),
    )
