"""Overhaul of feature distillation: maps before the ReLU, above the teacher's margins.

B. Heo, J. Kim, S. Yun, H. Park, N. Kwak, J. Y. Choi, "A Comprehensive Overhaul of
Feature Distillation", ICCV 2019 (arXiv:1904.01866).

    L = CE(s, y) + w sum_l 2^(l - n) sum (r(s_l) - t'_l)^2 1[r(s_l) > t'_l or t'_l > 0]
    t'_l = max(t_l, margin_c)

over the levels l = 1 .. n before their ReLU, and all entries of a sample; r is 1x1
convolution and batch norm (`OverhaulConnectors`). margin_c is the mean of a channel's
negative values, by scale and shift of the teacher's batch norm
(`losses.overhaul_margin`, `models.batch_norms.norm_before`).

| symbol | argument                          |
|--------|-----------------------------------|
| w      | weight                            |
| s_l    | student_features, shallow to deep |
| t_l    | teacher_features, as many         |

w is 1/1000 on CIFAR-100, in the authors' code (a sum over the batch divided by 1000
and the batch size) and in mdistiller's (a mean over the batch and FEAT_WEIGHT 1e-3),
which compute the same; mdistiller has 1e-4 on ImageNet. Not tuned per pair. The
authors train 200 epochs with batches of 128, mdistiller as its other methods do.

Departs from the paper: nothing. Where the sides of two maps differ, the larger map is
pooled to the smaller, as mdistiller pools the teacher's.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.features import pairs_of
from kdjax.methods.terms import hard_label
from kdjax.models.batch_norms import norm_before
from kdjax.models.connectors import OverhaulConnectors, from_module

REFERENCE = "Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019"
LEVELS = ("stage1_preact", "stage2_preact", "stage3_preact")


def build(
    *,
    weight: float = 1e-3,
    student_features: tuple[str, ...] = LEVELS,
    teacher_features: tuple[str, ...] = LEVELS,
) -> Method:
    """Cross entropy and the partial distance of all levels.

    Args:
      weight: of the sum over a sample's entries, > 0.
      student_features, teacher_features: levels from shallow to deep, as many of both;
        the teacher's are those that `norm_before` knows.
    """
    contracts.positive("ofd", "weight", weight)
    pairs = pairs_of("ofd", student_features, teacher_features)

    def levels(inputs):
        params, _ = inputs.teacher_variables
        connected, total = inputs.connected["overhaul"], 0.0
        for level, (own, other) in enumerate(pairs, start=1):
            margin = losses.overhaul_margin(*norm_before(params, other))
            teacher = inputs.teacher.features[other]
            loss = losses.overhaul(connected[own], teacher, margin)
            total = total + 2.0 ** (level - len(pairs)) * loss
        return total

    return Method(
        terms=(hard_label(1.0), Term("levels", weight, levels, NOTHING)),
        connectors={"overhaul": from_module(OverhaulConnectors(pairs=pairs))},
        needs=("teacher_variables",),
        student_features=tuple(student_features),
        teacher_features=tuple(teacher_features),
    )
