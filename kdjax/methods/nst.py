"""NST: the distributions of both networks' channels, as spatial maps.

Z. Huang, N. Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity
Transfer", 2017 (arXiv:1707.01219).

    L = CE(s, y) + b sum_l [mean k(t, t) + mean k(s, s) - 2 mean k(s, t)]
    k(a, b) = (a . b)^2 over all pairs of channels, each map divided by its length

| symbol | argument                           |
|--------|------------------------------------|
| b      | weight                             |
| s, t   | student_features, teacher_features |

The published numbers are RepDistiller's: all stages, weight 50 for all pairs (tuned per
pair: no).

Departs from the paper: the polynomial kernel alone, of its three, as in RepDistiller;
the paper's b is lambda / 2.
"""

from kdjax import losses
from kdjax.methods.base import Method
from kdjax.methods.features import STAGES, beside_labels, every_level, pairs_of

REFERENCE = "Huang & Wang, Neuron Selectivity Transfer, 2017"


def build(
    *,
    weight: float = 50.0,
    student_features: tuple[str, ...] = STAGES,
    teacher_features: tuple[str, ...] = STAGES,
) -> Method:
    """Cross entropy and the squared mean discrepancy of the channels.

    Args:
      weight: > 0.
      student_features, teacher_features: maps, as many of both; channels may differ.
    """
    pairs = pairs_of("nst", student_features, teacher_features)
    values = every_level(losses.neuron_selectivity, pairs)
    return beside_labels("nst", "neuron_selectivity", weight, values, pairs)
