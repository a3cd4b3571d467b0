"""CC: how far the networks differ, on neighbouring samples of a batch.

B. Peng et al., "Correlation Congruence for Knowledge Distillation", ICCV 2019
(arXiv:1904.01802).

    L = CE(s, y) + b mean_{i<n} <D_i, D_i+1>,   D = |E_s f_s - E_t f_t|

E_s and E_t are linear layers to `width` numbers, both trained:
`models.connectors.LinearEmbeddings`.

| symbol   | argument |
|----------|----------|
| b        | weight   |
| f_s, f_t | feature  |

The published numbers are RepDistiller's: pooled features, 128 numbers, weight .02 for
all pairs (tuned per pair: no).

Departs from the paper: it compares matrices of Gaussian kernels of the batch; the loss
here is that of RepDistiller's code. Neighbours are those of the selected samples, in
the order of the whole batch on any number of devices.
"""

from kdjax import losses
from kdjax.methods.base import Method
from kdjax.methods.features import beside_labels
from kdjax.models.connectors import LinearEmbeddings, from_module

REFERENCE = "Peng et al., Correlation Congruence for Knowledge Distillation, ICCV 2019"


def build(*, weight: float = 0.02, width: int = 128, feature: str = "pooled") -> Method:
    """Cross entropy and the congruence of neighbours.

    Args:
      weight: > 0.
      width: of the embeddings, from 1.
      feature: [batch, channels] of both networks; channels may differ.
    """
    if width < 1:
        raise ValueError(f"cc: width is {width!r}; expected 1 or more.")

    def values(inputs):
        both = inputs.connected["congruence"]
        return losses.correlation_congruence(
            both["student"], both["teacher"], inputs.selection
        )

    module = LinearEmbeddings(normalise=False, width=width, feature=feature)
    given = weight, values, ((feature, feature),), {"congruence": from_module(module)}
    return beside_labels("cc", "correlation_congruence", *given)
