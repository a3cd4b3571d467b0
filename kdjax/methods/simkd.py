"""SimKD: the student predicts with its teacher's classifier, and learns its map alone.

D. Chen, J.-P. Mei, H. Zhang, C. Wang, Y. Feng, C. Chen, "Knowledge Distillation with
the Reused Teacher Classifier", CVPR 2022 (arXiv:2203.14001).

    L = w mean (P(f_s) - f_t)^2
    logits = the teacher's classifier of the mean of P(f_s) over h and w

P is a projector, 1x1, 3x3 and 1x1 convolutions with batch norm and ReLU
(`models.classifiers.Projector`), f_s and f_t the last maps of the stages. No label
plays a part.

| symbol                             | argument        |
|------------------------------------|-----------------|
| w                                  | weight          |
| f_s                                | student_feature |
| f_t                                | teacher_feature |
| reduction of P's inner channels    | factor          |

The published numbers on CIFAR-100 have w = 1 and factor 2, without cross entropy and KD
(`-c 0 -d 0 -b 1` of the public code); not tuned per pair.

At inference the student is larger than its `model`: the projector and the classifier
stay. Checkpoints and exports have them under "projector" and "classifier", beside
"network"; ONNX is not written. The teacher is a single network of kdjax, or a Linen
module with a last layer "head", trained on the run's classes in their order.

Departs from the paper: maps before a ReLU ("stage3_preact") are rectified, and are then
what residual, wide and VGG networks pool; others are taken as they are. MobileNetV2 and
ShuffleNetV2 have one more convolution between their last stage and the pooling. Where
the sides of both maps differ, the larger one is pooled to the smaller, as in the public
code. The student's own classifier stays among its parameters, unused.
"""

import jax

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, ReusedClassifier, Term

REFERENCE = "Chen et al., Distillation with the Reused Teacher Classifier, CVPR 2022"


def build(
    *,
    weight: float = 1.0,
    factor: int = 2,
    student_feature: str = "stage3_preact",
    teacher_feature: str = "stage3_preact",
) -> Method:
    """The mean squared error of the last maps; no cross entropy.

    Args:
      weight: of the error, > 0.
      factor: by how much the projector is narrower inside than the teacher's map; a
        whole number above 0.
      student_feature, teacher_feature: maps; of the teacher the one that it pools for
        its classifier, after its ReLU or before.
    """
    contracts.positive("simkd", "weight", weight)
    if not isinstance(factor, int) or isinstance(factor, bool) or factor < 1:
        expected = "a whole number above 0"
        raise ValueError(f"simkd: factor is {factor!r}; expected {expected}.")

    def maps(inputs):
        teacher = inputs.teacher.features[teacher_feature]
        if teacher_feature.endswith("_preact"):
            teacher = jax.nn.relu(teacher)
        projected = inputs.student.features["projected"]
        return losses.feature_mean_squared_error(projected, teacher)

    return Method(
        terms=(Term("maps", weight, maps, NOTHING),),
        reused_classifier=ReusedClassifier(student_feature, teacher_feature, factor),
        student_features=(student_feature,),
        teacher_features=(teacher_feature,),
    )
