"""Decoupled knowledge distillation: the label's class and the others, in two parts.

B. Zhao, Q. Cui, R. Song, Y. Qiu, J. Liang, "Decoupled Knowledge Distillation", CVPR
2022 (arXiv:2203.08679).

    L = CE(s, y) + min(epoch / warm-up, 1) tau^2 (alpha TCKD + beta NCKD)

TCKD is the KL of (p_y, 1 - p_y), NCKD that of the softmax over the other classes.

| symbol  | argument      |
|---------|---------------|
| alpha   | alpha         |
| beta    | beta          |
| tau     | temperature   |
| warm-up | warmup_epochs |

The published numbers on CIFAR-100 have alpha 1, tau 4, a warm-up of 20 epochs and beta
tuned per pair: 6 (WRN-40-2 to WRN-16-2 and WRN-40-1, VGG-13 to VGG-8), 2 (ResNet-56 to
20, ResNet-110 to 32), 8 (ResNet-32x4 to ResNet-8x4 and the ShuffleNets); ImageNet alpha
1, tau 1, a warm-up of 1 epoch and beta .5 (ResNet-34 to 18), 2 (ResNet-50 to
MobileNet).

Departs from the paper: the label is left out of NCKD exactly, where the authors' code
subtracts 1000 from its logit; equal at any logits that occur.
"""

from kdjax import contracts, losses
from kdjax.methods.base import Method, Term
from kdjax.methods.coefficients import warmed
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Zhao et al., Decoupled Knowledge Distillation, CVPR 2022"


def build(
    *,
    steps_per_epoch: float,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
    warmup_epochs: float = 20.0,
) -> Method:
    """Cross entropy and both parts of the softened teacher.

    Args:
      steps_per_epoch: of the run; need not be whole.
      alpha: of the label's class, >= 0.
      beta: of the other classes, >= 0.
      temperature: > 0, finite.
      warmup_epochs: over which both weights climb linearly from 0; 0: none.
    """
    contracts.positive("dkd", "temperature", temperature)
    parts = (
        ("target_class", alpha, losses.decoupled_target),
        ("other_classes", beta, losses.decoupled_nontarget),
    )
    terms = [hard_label(1.0)]
    contracts.not_negative("dkd", "alpha", alpha)
    contracts.not_negative("dkd", "beta", beta)
    for name, weight, distance in parts:
        schedule = warmed("dkd", weight, warmup_epochs, steps_per_epoch)
        terms.append(_part(name, schedule, distance))
    supervisor = Supervisor(temperature=fixed(temperature))
    return Method(terms=tuple(terms), supervisor=supervisor)


def _part(name: str, coefficient, distance) -> Term:
    def values(inputs):
        s = inputs.supervision
        loss = distance(student_logits(inputs), s.logits, inputs.labels, s.temperature)
        return s.weight * s.temperature**2 * loss

    return Term(name, coefficient, values, weighted=True)
