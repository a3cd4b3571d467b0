"""Jacobian matching: the gradients of both networks' label logits in the image.

S. Srinivas, F. Fleuret, "Knowledge Transfer with Jacobian Matching", ICML 2018 (arXiv:
1803.00443); W. M. Czarnecki et al., "Sobolev Training for Neural Networks", NeurIPS
2017 (arXiv:1706.04859).

    L = a CE(s, y) + c tau^2 KL(t, s) + w mean (g_s / ||g_s|| - g_t / ||g_t||)^2

g is d z_y / d image, l2-normalised per sample, the mean over the image's entries
(`losses.input_gradient_matching`). The image is the one that the network sees, after
augmentation and normalisation; batch norms of the student are in training mode. A step
differentiates the student twice, and the teacher once.

| symbol | argument     |
|--------|--------------|
| a      | label_weight |
| c      | logit_weight |
| tau    | temperature  |
| w      | weight       |

No settings are published under the protocol of CIFAR-100 tables. The public code
(Knowledge-Distillation-Zoo, `sobolev.py`) says that the term alone is unstable and
adds it to CE and KD; a, c and w are 1 here and want tuning. As the term is at most
4 / (height width channels), a w above 1 is no surprise.

Departs from the paper: the mean over entries in place of their sum, and the label's
logit alone, as the public code has it.
"""

from kdjax import contracts, losses
from kdjax.methods.base import Method, Term
from kdjax.methods.terms import hard_label, soft_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Srinivas and Fleuret, Knowledge Transfer with Jacobian Matching, ICML 2018"


def build(
    *,
    weight: float = 1.0,
    label_weight: float = 1.0,
    logit_weight: float = 1.0,
    temperature: float = 4.0,
) -> Method:
    """Cross entropy, softened logits, and the gradients in the image.

    Args:
      weight: of the gradients' distance, > 0.
      label_weight: of the cross entropy, >= 0.
      logit_weight: of the softened teacher, >= 0.
      temperature: > 0, finite.
    """
    contracts.positive("jacobian", "weight", weight)
    contracts.not_negative("jacobian", "label_weight", label_weight)
    contracts.not_negative("jacobian", "logit_weight", logit_weight)
    contracts.positive("jacobian", "temperature", temperature)

    def gradients(inputs):
        return losses.input_gradient_matching(*inputs.image_gradients)

    return Method(
        terms=(
            hard_label(label_weight),
            soft_logits(logit_weight),
            Term("image_gradients", weight, gradients),
        ),
        supervisor=Supervisor(temperature=fixed(temperature)),
        needs=("image_gradients",),
    )
