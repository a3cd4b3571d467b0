"""Distillation by the smooth L1 distance between logits.

T. Kim, J. Oh, N. Kim, S. Cho, S.-Y. Yun, "Comparing Kullback-Leibler Divergence and
Mean Squared Error Loss in Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919); the
distance is of R. Girshick, "Fast R-CNN", ICCV 2015 (arXiv:1504.08083), equation 3.

    L = (1 - alpha) CE(s, y) + alpha / K sum_k h(s_k - t_k)
    h(d) = d^2 / 2 where |d| < 1,   |d| - 1/2 elsewhere

| symbol | argument |
|--------|----------|
| alpha  | alpha    |

Departs from the paper: it is an option of the authors' code, without results in the
paper. The code allows no cross entropy beside it (alpha = 1, the default here).
"""

from kdjax import contracts, losses
from kdjax.methods.base import Method
from kdjax.methods.terms import labels_and_teacher, match_logits
from kdjax.supervision.pipeline import Supervisor

REFERENCE = "Kim et al., Comparing KL and MSE in Knowledge Distillation, IJCAI 2021"


def build(*, alpha: float = 1.0) -> Method:
    """Smooth L1 to the teacher's logits. A part with weight exactly 0 is left out.

    Args:
      alpha: share of the teacher, from 0 to 1. At 1 no label is used, at 0 no teacher.
    """
    contracts.fraction("smooth_l1", "alpha", alpha)
    term = match_logits("smooth_l1", float(alpha), losses.smooth_l1)
    return labels_and_teacher(alpha, term, Supervisor())
