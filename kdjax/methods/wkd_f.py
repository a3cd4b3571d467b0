"""WKD-F: Wasserstein distance between Gaussians of both networks' channels.

J. Lv, H. Yang, P. Li, "Wasserstein Distance Rivals Kullback-Leibler Divergence for
Knowledge Distillation", NeurIPS 2024 (arXiv:2412.08139).

    L = CE(s, y) + w(epoch) sum_c [g (mu^s_c - mu^t_c)^2 + (sd^s_c - sd^t_c)^2]

mu and sd of a channel are over the positions of a sample, the student's after a trained
projector, `models.connectors.WassersteinProjector`. w is constant up to an epoch E,
then w (1 + cos(pi (epoch - E) / (last - E))) / 2, the epoch counted from 1.

| symbol | argument                           |
|--------|------------------------------------|
| w      | weight                             |
| g      | mean_weight                        |
| E      | decay_epoch                        |
| maps   | student_features, teacher_features |

Its authors' code: the last stage, g 2, projector "conv1x1" and E 150 of 240 on
CIFAR-100, "bottleneck" on ImageNet, w 1 there. The w of CIFAR-100 could not be read:
whether it was tuned per pair is not known.

Departs from the paper: a grid of 1 x 1 alone, and several levels may be summed. The
decay is by epochs as in the code, and ends at 0 in the last one.
"""

from kdjax import contracts, losses
from kdjax.losses.maps import check_choice
from kdjax.methods.base import Method
from kdjax.methods.coefficients import decayed
from kdjax.methods.features import STAGES, beside_labels, pairs_of
from kdjax.models.connectors import WassersteinProjector, from_module

REFERENCE = "Lv et al., Wasserstein Distance Rivals KL Divergence, NeurIPS 2024"


def build(
    *,
    steps_per_epoch: float,
    total_steps: int,
    weight: float = 1.0,
    mean_weight: float = 2.0,
    projector: str = "conv1x1",
    decay_epoch: float = 150.0,
    student_features: tuple[str, ...] = STAGES[-1:],
    teacher_features: tuple[str, ...] = STAGES[-1:],
) -> Method:
    """Cross entropy and the distance of the channels' Gaussians.

    Args:
      steps_per_epoch, total_steps: of the run.
      weight: > 0.
      mean_weight: of the means beside the standard deviations, >= 0.
      projector: "conv1x1", or "bottleneck", which needs maps of equal sides.
      decay_epoch: after which the weight falls to 0; a shorter run has none of it.
      student_features, teacher_features: maps, as many of both.
    """
    contracts.positive("wkd_f", "weight", weight)
    contracts.not_negative("wkd_f", "mean_weight", mean_weight)
    check_choice("wkd_f", "projector", projector, ("conv1x1", "bottleneck"))
    pairs = pairs_of("wkd_f", student_features, teacher_features)
    connectors = {
        f"projector_{s}": from_module(WassersteinProjector(s, t, projector))
        for s, t in pairs
    }

    def values(inputs):
        projected, teacher = inputs.connected, inputs.teacher.features
        return sum(
            losses.channel_moments(projected[f"projector_{s}"], teacher[t], mean_weight)
            for s, t in pairs
        )

    length = decay_epoch, steps_per_epoch, total_steps
    given = decayed("wkd_f", weight, *length), values, pairs, connectors
    return beside_labels("wkd_f", "channel_moments", *given)
