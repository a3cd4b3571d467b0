"""Activation boundaries, first stage: the student's features by the teacher's signs.

B. Heo, M. Lee, S. Yun, J. Y. Choi, "Knowledge Transfer via Distillation of Activation
Boundaries Formed by Hidden Neurons", AAAI 2019 (arXiv:1811.03233).

    L = w sum_l 2^(l - n) sum (r(s_l) + m)^2 1[r(s_l) > -m, t_l <= 0]
                            + (r(s_l) - m)^2 1[r(s_l) <= m, t_l > 0]

over the levels l = 1 .. n before their ReLU, and all entries of a sample; r is 1x1
convolution and batch norm where the channels differ (`BoundaryConnectors`). No label
and no logit plays a part: a second stage begins with these weights
(`config.initial.parts = "weights"`) and trains with the labels alone, method `ce`.

| symbol | argument                          |
|--------|-----------------------------------|
| w      | weight                            |
| m      | margin                            |
| s_l    | student_features, shallow to deep |
| t_l    | teacher_features, as many         |

The published numbers on CIFAR-100 (RepDistiller) have 30 epochs of this stage at a
constant learning rate, w = 3/1000 and m = 1, then 240 epochs of cross entropy; not
tuned per pair.

Departs from the paper: level weights and w are those of RepDistiller's code. Beside
that code, all of the student is given to the optimizer in this stage, so weight decay
shrinks its classifier; there the features and the connectors alone are.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.features import pairs_of
from kdjax.models.connectors import BoundaryConnectors, from_module

REFERENCE = "Heo et al., Distillation of Activation Boundaries, AAAI 2019"
LEVELS = ("stage1_preact", "stage2_preact", "stage3_preact")


def build(
    *,
    weight: float = 3e-3,
    margin: float = 1.0,
    student_features: tuple[str, ...] = LEVELS,
    teacher_features: tuple[str, ...] = LEVELS,
) -> Method:
    """The boundaries of all levels, each with twice the weight of the one before.

    Args:
      weight: of the sum over a sample's entries, > 0.
      margin: > 0.
      student_features, teacher_features: levels from shallow to deep, as many of both.
    """
    contracts.positive("ab", "weight", weight)
    contracts.positive("ab", "margin", margin)
    pairs = pairs_of("ab", student_features, teacher_features)

    def boundaries(inputs):
        connected, total = inputs.connected["boundaries"], 0.0
        for level, (own, other) in enumerate(pairs, start=1):
            teacher = inputs.teacher.features[other]
            loss = losses.activation_boundary(connected[own], teacher, margin)
            total = total + 2.0 ** (level - len(pairs)) * loss
        return total

    return Method(
        terms=(Term("boundaries", weight, boundaries, NOTHING),),
        connectors={"boundaries": from_module(BoundaryConnectors(pairs=pairs))},
        student_features=tuple(student_features),
        teacher_features=tuple(teacher_features),
    )
