"""FitNets: the student's features, through a regressor, against the teacher's hint.

A. Romero, N. Ballas, S. E. Kahou, A. Chassang, C. Gatta, Y. Bengio, "FitNets: Hints for
Thin Deep Nets", ICLR 2015 (arXiv:1412.6550).

    L = CE(s, y) + b sum_l mean_hwc (r(s_l) - t_l)^2

The regressor r is `models.connectors.HintRegressors`: convolution, batch norm, ReLU.

| symbol | argument         |
|--------|------------------|
| b      | weight           |
| s_l    | student_features |
| t_l    | teacher_features |

The published numbers are RepDistiller's: the second stage, trained beside cross entropy
from the beginning, weight 100 for all pairs (tuned per pair: no).

Departs from the paper: one stage of training, a mean in place of half of a sum, and a
regressor with batch norm, as in RepDistiller. The paper trains the layers up to the
hint first, and then the whole by labels and softened logits.
"""

from kdjax import losses
from kdjax.methods.base import Method
from kdjax.methods.features import beside_labels, pairs_of
from kdjax.models.connectors import HintRegressors, from_module

REFERENCE = "Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015"
HINT = ("stage2",)


def build(
    *,
    weight: float = 100.0,
    student_features: tuple[str, ...] = HINT,
    teacher_features: tuple[str, ...] = HINT,
) -> Method:
    """Cross entropy and the hint.

    Args:
      weight: > 0.
      student_features, teacher_features: maps, as many of both. The student's sides are
        at least the teacher's, or half of them.
    """
    pairs = pairs_of("fitnets", student_features, teacher_features)

    def values(inputs):
        mapped, teacher = inputs.connected["regressors"], inputs.teacher.features
        return sum(
            losses.feature_mean_squared_error(mapped[s], teacher[t]) for s, t in pairs
        )

    connectors = {"regressors": from_module(HintRegressors(pairs))}
    return beside_labels("fitnets", "hint", weight, values, pairs, connectors)
