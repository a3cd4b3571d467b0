"""Relational knowledge distillation: distances and angles between samples.

W. Park, D. Kim, Y. Lu, M. Cho, "Relational Knowledge Distillation", CVPR 2019
(arXiv:1904.05068).

    L = CE(s, y) + weight (lambda_D RKD-D + lambda_A RKD-A)

RKD-D compares the distance of each pair of samples, in units of the batch's mean
distance, RKD-A the cosine in each corner of each triangle, both by smooth L1
(`losses.relational_distance`, `losses.relational_angle`).

| symbol   | argument         |
|----------|------------------|
| lambda_D | distance_weight  |
| lambda_A | angle_weight     |
| features | student_feature, teacher_feature |

RepDistiller's numbers on CIFAR-100 have lambda_D 25, lambda_A 50 and a weight of 1 for
all 13 pairs, tuned on none: these are the paper's ratio of 1 to 2.

Departs from the paper: the means run over all pairs and triplets, those of a sample
with itself included, as in the authors' code and RepDistiller. A run that selects
samples has the relations of the selected ones alone.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label

REFERENCE = "Park et al., Relational Knowledge Distillation, CVPR 2019"


def build(
    *,
    weight: float = 1.0,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
    student_feature: str = "pooled",
    teacher_feature: str = "pooled",
) -> Method:
    """Cross entropy and both relations; a relation of weight 0 is left out.

    Args:
      weight: of both relations, > 0.
      distance_weight: of the distances, >= 0.
      angle_weight: of the angles, >= 0.
      student_feature, teacher_feature: [batch, channels]; channels may differ.
    """
    contracts.positive("rkd", "weight", weight)
    contracts.not_negative("rkd", "distance_weight", distance_weight)
    contracts.not_negative("rkd", "angle_weight", angle_weight)

    def term(name, coefficient, relation):
        def values(inputs):
            student = inputs.student.features[student_feature]
            teacher = inputs.teacher.features[teacher_feature]
            return relation(student, teacher, where=inputs.selection)

        return Term(name, weight * coefficient, values, NOTHING)

    relations = (
        term("distances", distance_weight, losses.relational_distance),
        term("angles", angle_weight, losses.relational_angle),
    )
    return Method(
        terms=(hard_label(1.0), *(each for each in relations if each.coefficient)),
        needs_teacher=True,
        student_features=(student_feature,),
        teacher_features=(teacher_feature,),
    )
