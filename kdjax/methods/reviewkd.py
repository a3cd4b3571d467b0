"""ReviewKD: fused features of the student against those of the teacher, level by level.

P. Chen, S. Liu, H. Zhao, J. Jia, "Distilling Knowledge via Knowledge Review", CVPR 2021
(arXiv:2104.09044).

    L = CE(s, y) + w min(epoch / warm-up, 1) sum_l HCL(ABF(s)_l, t_l)

ABF fuses the student's levels from deep to shallow (`models.connectors.ReviewFusion`),
HCL compares a level at full size and pooled (`losses.hierarchical_context`).

| symbol  | argument                             |
|---------|--------------------------------------|
| w       | weight                               |
| warm-up | warmup_epochs                        |
| s_l     | student_features, shallow to deep    |
| t_l     | teacher_features, as many            |

The student's levels are those after their ReLU (of wide networks the raw residual
sums), the teacher's those before it.

The published numbers on CIFAR-100 have w 5 (WRN-40-2 to WRN-16-2 and WRN-40-1,
ResNet-32x4 to ResNet-8x4), .6 (ResNet-56 to 20) and 1 (ResNet-110 to 32), tuned per
pair, and a warm-up of 20 epochs; ImageNet 1 (ResNet-34 to 18) and 1 epoch.

Departs from the paper: nothing from the authors' code, but that epochs of the warm-up
count from 1, as in mdistiller.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.coefficients import warmed
from kdjax.methods.features import pairs_of
from kdjax.methods.terms import hard_label
from kdjax.models.connectors import ReviewFusion, from_module

REFERENCE = "Chen et al., Distilling Knowledge via Knowledge Review, CVPR 2021"
LEVELS = ("stage1", "stage2", "stage3", "pooled")
BEFORE_RELU = ("stage1_preact", "stage2_preact", "stage3_preact", "pooled")


def build(
    *,
    steps_per_epoch: float,
    weight: float = 1.0,
    warmup_epochs: float = 20.0,
    student_features: tuple[str, ...] = LEVELS,
    teacher_features: tuple[str, ...] = BEFORE_RELU,
) -> Method:
    """Cross entropy and the review of all levels.

    Args:
      steps_per_epoch: of the run; need not be whole.
      weight: of the review, > 0.
      warmup_epochs: over which the weight climbs linearly from 0; 0: none.
      student_features, teacher_features: levels from shallow to deep, as many of both.
    """
    contracts.positive("reviewkd", "weight", weight)
    levels = pairs_of("reviewkd", student_features, teacher_features)

    def as_map(x):  # pooled features are the deepest level, of one position
        return x if x.ndim == 4 else x[:, None, None, :]

    def review(inputs):
        fused, teacher = inputs.connected["fusion"], inputs.teacher.features
        pairs = zip(fused, (as_map(teacher[name]) for _, name in levels), strict=True)
        return sum(losses.hierarchical_context(s, t) for s, t in pairs)

    schedule = warmed("reviewkd", weight, warmup_epochs, steps_per_epoch)
    return Method(
        terms=(hard_label(1.0), Term("review", schedule, review, NOTHING)),
        connectors={"fusion": from_module(ReviewFusion(*zip(*levels, strict=True)))},
        student_features=tuple(student_features),
        teacher_features=tuple(teacher_features),
    )
