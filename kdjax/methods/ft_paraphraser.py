"""Factor transfer, first stage: an autoencoder of the teacher's last map.

J. Kim, S. Park, N. Kwak, "Paraphrasing Complex Network: Network Compression via Factor
Transfer", NeurIPS 2018 (arXiv:1802.04977).

    L = mean (P(t) - t)^2

P is `models.connectors.Paraphraser`; its code is the teacher's factor, which `ft` takes
over (`config.initial.parts = "connectors"`). The student learns nothing here: its loss
is 0, and its weights are not what the second stage begins with.

| symbol                                 | argument        |
|----------------------------------------|-----------------|
| t                                      | teacher_feature |
| k, channels of the factor over those of t | k            |
|                                        | batch_norm      |

The published numbers on CIFAR-100 (RepDistiller) have k = .5 without batch norm, 30
epochs of this stage at a constant learning rate of .01 for residual networks, that of
the second stage for the others; not tuned per pair.

Departs from the paper: no batch norm by default, as in RepDistiller's code. The paper
has it, `batch_norm = True`.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.models.connectors import Paraphraser, from_module

REFERENCE = "Kim et al., Paraphrasing Complex Network, NeurIPS 2018"


def build(
    *,
    teacher_feature: str = "stage3",
    k: float = 0.5,
    batch_norm: bool = False,
) -> Method:
    """The paraphraser's reconstruction; name `ft`'s arguments alike.

    Args:
      teacher_feature: the map that is paraphrased, after its ReLU.
      k: share of its channels that the factor has, > 0.
      batch_norm: in the paraphraser.
    """
    contracts.positive("ft_paraphraser", "k", k)
    contracts.flag("ft_paraphraser", "batch_norm", batch_norm)

    def reconstruction(inputs):
        again = inputs.connected["paraphraser"]["reconstruction"]
        teacher = inputs.teacher.features[teacher_feature]
        return losses.feature_mean_squared_error(again, teacher)

    paraphraser = Paraphraser(teacher_feature, k, batch_norm)
    return Method(
        terms=(Term("reconstruction", 1.0, reconstruction, NOTHING),),
        connectors={"paraphraser": from_module(paraphraser)},
        teacher_features=(teacher_feature,),
    )
