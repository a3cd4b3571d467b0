"""VID: the likelihood of the teacher's features, given the student's.

S. Ahn, S. X. Hu, A. Damianou, N. D. Lawrence, Z. Dai, "Variational Information
Distillation for Knowledge Transfer", CVPR 2019 (arXiv:1904.05835).

    L = CE(s, y) + b sum_l mean_hwc 1/2 [(mu(s_l) - t_l)^2 / v_l,c + log v_l,c]

mu, three 1x1 convolutions, and the variances v are trained:
`models.connectors.VariationalHeads`.

| symbol | argument               |
|--------|------------------------|
| b      | weight                 |
| v      | variance, at the start |
| s_l    | student_features       |
| t_l    | teacher_features       |

The published numbers are RepDistiller's: all stages, v 5 at the start, weight 1 for all
pairs (tuned per pair: no).

Departs from the paper: the mean over the entries of a level, not their sum, and maps
alone, without the logits, as in RepDistiller.
"""

from kdjax import losses
from kdjax.losses.maps import same_size
from kdjax.methods.base import Method
from kdjax.methods.features import STAGES, beside_labels, pairs_of
from kdjax.models.connectors import VariationalHeads, from_module

REFERENCE = "Ahn et al., Variational Information Distillation, CVPR 2019"


def build(
    *,
    weight: float = 1.0,
    variance: float = 5.0,
    student_features: tuple[str, ...] = STAGES,
    teacher_features: tuple[str, ...] = STAGES,
) -> Method:
    """Cross entropy and the negative log likelihood of the teacher's maps.

    Args:
      weight: > 0.
      variance: of every channel at the start, above 1e-5.
      student_features, teacher_features: maps, as many of both; the larger of a pair is
        pooled to the other's sides.
    """
    if not variance > 1e-5:
        raise ValueError(f"vid: variance is {variance!r}; expected above 1e-5.")
    pairs = pairs_of("vid", student_features, teacher_features)

    def values(inputs):
        heads, total = inputs.connected["heads"], 0.0
        for s, t in pairs:
            mean, teacher = same_size(heads[s]["mean"], inputs.teacher.features[t])
            total += losses.variational_information(mean, heads[s]["rho"], teacher)
        return total

    connectors = {"heads": from_module(VariationalHeads(pairs, variance))}
    name = "variational_information"
    return beside_labels("vid", name, weight, values, pairs, connectors)
