"""CAT-KD: class activation maps of the student against the teacher's.

Z. Guo, H. Yan, H. Li, X. Lin, "Class Attention Transfer Based Knowledge Distillation",
CVPR 2023 (arXiv:2304.12777).

    L = CE(s, y) + b mean (pool(M_s) - pool(M_t))^2
    M[h, w, k] = sum_c f[h, w, c] kernel[c, k]

f is the map that a network pools, kernel that of its own classifier, `pool` adaptive
average pooling to 2x2, and the mean is over positions and classes. The gradient reaches
the student's classifier through its maps too.

| symbol     | argument        |
|------------|-----------------|
| b          | weight          |
| 2x2        | resolution      |
| f          | student_feature, teacher_feature |
|            | normalise       |
|            | bias            |

The published numbers on CIFAR-100 have b tuned per pair: .7 (ResNet-56 to 20), 12
(WRN-40-2 to WRN-16-2), 15 (ResNet-32x4 to 8x4). The public code says to choose b so
that the term is between 1 and 50 after the first epoch. CAT, which the paper studies
beside CAT-KD, has no cross entropy and normalises each pooled map to length 1.

Departs from the paper: the classifiers of the public code's networks have no bias,
those here do; `bias` adds it to every position, so that the mean of M is the logits.
Maps are rectified, so that "stage3_preact" stands for what a residual or a wide network
pools. The teacher is a single network of kdjax, or a Linen module with a last layer
"head", with the run's classes in their order.
"""

import jax

from kdjax import contracts, losses
from kdjax.losses.maps import l2_normalise
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label
from kdjax.models.classifiers import classifier_of
from kdjax.models.connectors import class_activation_maps

REFERENCE = "Guo et al., Class Attention Transfer, CVPR 2023"


def build(
    *,
    weight: float = 1.0,
    label_weight: float = 1.0,
    resolution: int = 2,
    normalise: bool = False,
    bias: bool = False,
    student_feature: str = "stage3_preact",
    teacher_feature: str = "stage3_preact",
) -> Method:
    """Cross entropy and the distance of the class activation maps.

    Args:
      weight: of the distance, > 0; to be tuned per pair.
      label_weight: of the cross entropy, >= 0; 0 makes it CAT.
      resolution: sides to which the maps are pooled, above 0.
      normalise: divides each class's pooled map by its length.
      bias: adds the classifiers' biases to the maps.
      student_feature, teacher_feature: the maps that the networks pool for their
        classifiers, after the ReLU or before.
    """
    contracts.positive("cat_kd", "weight", weight)
    contracts.not_negative("cat_kd", "label_weight", label_weight)
    contracts.positive("cat_kd", "resolution", resolution)
    contracts.flag("cat_kd", "normalise", normalise)
    contracts.flag("cat_kd", "bias", bias)

    def pooled(params, role, features):
        kernel, shift = classifier_of(params, role)
        x = class_activation_maps(
            jax.nn.relu(features), kernel, shift if bias else None
        )
        x = losses.adaptive_average_pool(x, resolution, resolution)
        return l2_normalise(x, (1, 2)) if normalise else x

    def class_maps(inputs):
        student = inputs.student.features[student_feature]
        teacher = inputs.teacher.features[teacher_feature]
        own = pooled(inputs.student_parameters, "student", student)
        other = pooled(inputs.teacher_variables[0], "teacher", teacher)
        return losses.feature_mean_squared_error(own, other)

    terms = (Term("class_maps", weight, class_maps, NOTHING),)
    return Method(
        terms=(hard_label(label_weight), *terms) if label_weight else terms,
        needs=("teacher_variables", "student_parameters", "teacher_classifier"),
        needs_teacher=True,
        student_features=(student_feature,),
        teacher_features=(teacher_feature,),
    )
