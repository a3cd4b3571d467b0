"""Refined logit distillation: the label corrects the teacher, class ranks are kept.

W. Sun, D. Chen, S. Lyu, G. Chen, C. Chen, C. Wang, "Knowledge Distillation with Refined
Logits", ICCV 2025 (arXiv:2408.07703).

    L = CE(s, y) + min(epoch / warm-up, 1) (alpha tau_1^2 SCD + beta tau^2 MCD)

SCD is the KL between (p, 1 - p) with p the teacher's largest probability and (q_y,
1 - q_y) of the student, at temperature tau_1. MCD is the KL at tau among the classes
that the teacher puts below the label.

| symbol  | argument          |
|---------|-------------------|
| alpha   | alpha             |
| tau_1   | alpha_temperature |
| beta    | beta              |
| tau     | temperature       |
| warm-up | warmup_epochs     |

The published numbers on CIFAR-100 have alpha 1, tau_1 1, beta 8, tau 4 and 20 epochs,
for all pairs; ImageNet, ResNet-34 to 18: beta .5, tau 1 and 1 epoch.

Departs from the paper: nothing. An attached temperature is that of MCD; tau_1 stays.
"""

from kdjax import contracts, losses
from kdjax.methods.base import Method, Term
from kdjax.methods.coefficients import warmed
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Sun et al., Knowledge Distillation with Refined Logits, ICCV 2025"


def build(
    *,
    steps_per_epoch: float,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
    alpha_temperature: float = 1.0,
    warmup_epochs: float = 20.0,
) -> Method:
    """Cross entropy and both corrected parts of the teacher.

    Args:
      steps_per_epoch: of the run; need not be whole.
      alpha: of the sample's confidence, >= 0.
      beta: of the classes below the label, >= 0.
      temperature: of beta's part, > 0, finite.
      alpha_temperature: of alpha's part, > 0, finite.
      warmup_epochs: over which both weights climb linearly from 0; 0: none.
    """
    contracts.positive("rld", "temperature", temperature)
    contracts.positive("rld", "alpha_temperature", alpha_temperature)
    contracts.not_negative("rld", "alpha", alpha)
    contracts.not_negative("rld", "beta", beta)

    def confidence(inputs):
        s = inputs.supervision
        given = student_logits(inputs), s.logits, inputs.labels
        loss = losses.sample_confidence(*given, alpha_temperature)
        return s.weight * alpha_temperature**2 * loss

    climb = warmup_epochs, steps_per_epoch
    parts = (
        ("sample_confidence", warmed("rld", alpha, *climb), confidence),
        ("masked_correlation", warmed("rld", beta, *climb), _correlation),
    )
    terms = (Term(*part, weighted=True) for part in parts)
    supervisor = Supervisor(temperature=fixed(temperature))
    return Method(terms=(hard_label(1.0), *terms), supervisor=supervisor)


def _correlation(inputs):
    s = inputs.supervision
    given = student_logits(inputs), s.logits, inputs.labels
    loss = losses.masked_correlation(*given, s.temperature)
    return s.weight * s.temperature**2 * loss
