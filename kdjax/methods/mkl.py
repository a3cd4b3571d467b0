"""NTCE-KD: KL at several margins between the label's class and the others.

C. Li, X. Teng, Y. Ding, L. Lan, "NTCE-KD: Non-Target-Class-Enhanced Knowledge
Distillation", Sensors 24, 2024; the formula is that of the authors' code.

    m = t_(1) - t_(2), the teacher's two largest logits
    t'_f: the largest less f m,   s'_f: the label's less f m
    L = CE(s, y) + w min(epoch / warm-up, 1)
                   tau^2 mean_f KL(softmax(t'_f / tau) || softmax(s'_f / tau))

| symbol  | argument      |
|---------|---------------|
| w       | weight        |
| tau     | temperature   |
| f       | factors       |
| warm-up | warmup_epochs |

The published numbers on CIFAR-100 have tau 4, a warm-up of 20 epochs and w tuned per
pair: 8 (WRN-40-2 to WRN-16-2, ResNet-32x4 to ResNet-8x4), 2 (ResNet-56 to 20); ImageNet
tau 1, w 2 and 1 epoch.

Departs from the paper: one view of the images alone. The published numbers with an
augmented second view are not of this; the code of that path does not run as published.
"""

from kdjax import contracts, losses
from kdjax.losses.transformed import MKL_FACTORS
from kdjax.methods.base import Method, Term
from kdjax.methods.coefficients import warmed
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Li et al., Non-Target-Class-Enhanced Knowledge Distillation, 2024"


def build(
    *,
    steps_per_epoch: float,
    weight: float = 8.0,
    temperature: float = 4.0,
    warmup_epochs: float = 20.0,
    factors: tuple[float, ...] = MKL_FACTORS,
) -> Method:
    """Cross entropy and the softened teacher at all margins.

    Args:
      steps_per_epoch: of the run; need not be whole.
      weight: of the teacher, > 0.
      temperature: > 0, finite.
      warmup_epochs: over which the weight climbs linearly from 0; 0: none.
      factors: one or more numbers of any sign; 0 is plain KL.
    """
    contracts.positive("mkl", "weight", weight)
    contracts.positive("mkl", "temperature", temperature)
    if not factors:
        raise ValueError("mkl: factors is empty; expected one or more numbers.")

    def values(inputs):
        s = inputs.supervision
        pair = student_logits(inputs), s.logits
        loss = losses.magnitude_enhanced_kl(
            *pair, inputs.labels, s.temperature, tuple(factors)
        )
        return s.weight * s.temperature**2 * loss

    schedule = warmed("mkl", weight, warmup_epochs, steps_per_epoch)
    term = Term("magnitude_enhanced_kl", schedule, values, weighted=True)
    supervisor = Supervisor(temperature=fixed(temperature))
    return Method(terms=(hard_label(1.0), term), supervisor=supervisor)
