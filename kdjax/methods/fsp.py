"""FSP: flow matrices between consecutive features, the initial stage of a student.

J. Yim, D. Joo, J. Bae, J. Kim, "A Gift from Knowledge Distillation: Fast Optimization,
Network Minimization and Transfer Learning", CVPR 2017.

    L = b sum_l mean_cd (G^s_l,cd - G^t_l,cd)^2,   G_l,cd = mean_hw F_l,hwc F_l+1,hwd

No label is in it: the training that follows, with `ce`, begins with the weights that
this one leaves. `configs.recipes.two_stages` makes one config of both.

| symbol | argument                                            |
|--------|-----------------------------------------------------|
| b      | weight                                              |
| F_l    | student_features, teacher_features, the first first |

The published numbers are RepDistiller's: features from the stem to the last stage, 30
epochs at the first learning rate, then cross entropy alone under a new optimizer.
Weight 1 for all pairs (tuned per pair: no): its script passes 50, which its code uses
in neither stage.

Departs from the paper: the mean over the entries, not their sum, as in RepDistiller;
that code gives the optimizer of this stage the features alone, and here weight decay
acts on the classifier too.
"""

import jax.numpy as jnp

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.features import STAGES, Pairs, pairs_of
from kdjax.types import LossInputs

REFERENCE = "Yim et al., A Gift from Knowledge Distillation, CVPR 2017"
LEVELS = ("stem", *STAGES)


def build(
    *,
    weight: float = 1.0,
    student_features: tuple[str, ...] = LEVELS,
    teacher_features: tuple[str, ...] = LEVELS,
) -> Method:
    """The flow matrices of consecutive levels, without labels.

    Args:
      weight: > 0.
      student_features, teacher_features: maps from shallow to deep, two or more, as
        many of both; those of a level have equal channels.
    """
    contracts.positive("fsp", "weight", weight)
    pairs = pairs_of("fsp", student_features, teacher_features, least=2)

    def values(inputs):
        _check_channels(inputs, pairs)
        student = [inputs.student.features[s] for s, _ in pairs]
        teacher = [inputs.teacher.features[t] for _, t in pairs]
        flows = zip(student, student[1:], teacher, teacher[1:], strict=False)
        return sum(losses.flow_of_solution(*flow) for flow in flows)

    return Method(
        terms=(Term("flow_of_solution", weight, values, NOTHING),),
        needs_teacher=True,
        student_features=tuple(s for s, _ in pairs),
        teacher_features=tuple(t for _, t in pairs),
    )


def _check_channels(inputs: LossInputs, pairs: Pairs) -> None:
    for s, t in pairs:
        own = jnp.shape(inputs.student.features[s])[-1]
        their = jnp.shape(inputs.teacher.features[t])[-1]
        if own != their:
            raise ValueError(
                f"fsp: the student's {s} has {own} channels, the teacher's {t} has "
                f"{their}; expected as many, since flow matrices are compared entry by "
                "entry: other networks, or other names."
            )
