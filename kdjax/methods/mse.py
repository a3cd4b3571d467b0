"""Distillation by the squared error between logits.

T. Kim, J. Oh, N. Kim, S. Cho, S.-Y. Yun, "Comparing Kullback-Leibler Divergence and
Mean Squared Error Loss in Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919).

    L = (1 - alpha) CE(s, y) + alpha ||s - t||^2            reduction = "sum"
    L = (1 - alpha) CE(s, y) + alpha / K ||s - t||^2        reduction = "mean"

| symbol | argument  |
|--------|-----------|
| alpha  | alpha     |
| K      | of "mean" |

Departs from the paper: the default is the mean over classes, as in the authors' code,
which their learning rate of 0.1 goes with; the paper writes the sum, K times larger.
The code allows no cross entropy beside it (alpha = 1, the default here).
"""

from kdjax import contracts, losses
from kdjax.methods.base import Method
from kdjax.methods.terms import labels_and_teacher, match_logits
from kdjax.supervision.pipeline import Supervisor

REFERENCE = "Kim et al., Comparing KL and MSE in Knowledge Distillation, IJCAI 2021"

_DISTANCES = {"mean": losses.mean_squared_error, "sum": losses.squared_error}


def build(*, alpha: float = 1.0, reduction: str = "mean") -> Method:
    """Squared error to the teacher's logits. A part with weight exactly 0 is left out.

    Args:
      alpha: share of the teacher, from 0 to 1. At 1 no label is used, at 0 no teacher.
      reduction: over the classes, "mean" or "sum".
    """
    contracts.fraction("mse", "alpha", alpha)
    if reduction not in _DISTANCES:
        raise ValueError(f"mse: reduction is {reduction!r}; expected 'mean' or 'sum'.")
    distance = _DISTANCES[reduction]
    term = match_logits(distance.__name__, float(alpha), distance)
    return labels_and_teacher(alpha, term, Supervisor())
