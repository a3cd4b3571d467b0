"""LumiNet: logits standardised class by class over the batch, then compared.

Md. I. Hossain et al., "LumiNet: The Bright Side of Perceptual Knowledge Distillation",
2023 (arXiv:2310.03669); the details are those of the authors' code.

    h = (z - mean(z)) / sqrt(var(z) + 1e-5) of student and teacher, over the batch
    L = label_weight CE(s, y) + min(epoch / warm-up, 1)
                                alpha^2 KL(softmax(h_t / tau) || softmax(h_s / tau))

| symbol  | argument      |
|---------|---------------|
| alpha   | alpha         |
| tau     | temperature   |
| warm-up | warmup_epochs |

The factor is alpha^2 and not tau^2. The published numbers on CIFAR-100 have alpha and
tau tuned per pair. ResNet-32x4 to ResNet-8x4: alpha 33 (34 in the authors' latest
configuration), tau 4, label_weight 2; WRN-40-2 to WRN-40-1: 75, 8, 1. ImageNet,
ResNet-34 to 18: 2, 1, .7 and a warm-up of 1 epoch.

Departs from the paper: mean and variance are of the samples selected for the teacher in
the whole batch, on any number of devices.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.coefficients import warmed
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Hossain et al., LumiNet, 2023"


def build(
    *,
    steps_per_epoch: float,
    alpha: float = 33.0,
    temperature: float = 4.0,
    label_weight: float = 2.0,
    warmup_epochs: float = 20.0,
) -> Method:
    """Cross entropy and the softened teacher, both sides standardised over the batch.

    Args:
      steps_per_epoch: of the run; need not be whole.
      alpha: its square is the weight of the teacher, > 0.
      temperature: > 0, finite.
      label_weight: of the label, >= 0; at 0 it is left out.
      warmup_epochs: over which the teacher's weight climbs linearly from 0; 0: none.
    """
    contracts.positive("luminet", "alpha", alpha)
    contracts.positive("luminet", "temperature", temperature)
    contracts.not_negative("luminet", "label_weight", label_weight)
    schedule = warmed("luminet", alpha**2, warmup_epochs, steps_per_epoch)
    term = Term("perception", schedule, _perception, NOTHING, weighted=True)
    labels = (hard_label(label_weight),) if label_weight else ()
    supervisor = Supervisor(temperature=fixed(temperature))
    return Method(terms=(*labels, term), supervisor=supervisor)


def _perception(inputs):
    s = inputs.supervision
    student, teacher = (
        losses.batch_standardise(logits, where=s.weight)
        for logits in (student_logits(inputs), s.logits)
    )
    return s.weight * losses.kl_divergence(student, teacher, s.temperature)
