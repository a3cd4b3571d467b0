"""Logits adjustment by smoothed labels: they replace a teacher that is wrong.

T. Wen, S. Lai, X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better
Supervision", Neurocomputing 454, 2021 (arXiv:1911.07471, as knowledge adjustment; in
the journal, logits adjustment). Label smooth regularization (LSR).

    L = tau^2 KL(R(A(softmax(t / tau))) || softmax(s / tau)) + label_weight CE(s, y)
    A(q) = (1 - eps) e_y + eps / K   where argmax t != y;   A(q) = q elsewhere
    R(q) = eta q + (1 - eta) e_y;   R(q) = q without eta

| symbol | argument            |
|--------|---------------------|
| tau    | temperature         |
| eps    | epsilon             |
| -      | label_weight        |
| R, eta | eta: label revision |

The smoothed label is not softened while the student is, so the samples on which the
teacher is wrong have by far the largest losses and gradients, up to tau times those of
cross entropy: clip the gradients (`config.optimizer.clip_norm`), keep the temperature
low, or take `ka_ps`. Measured at temperature 4, with a teacher wrong on 23 % of the
images: those had half of the gradient, and the student ended 30 points below plain KD
(docs/evidence.md).

Departs from the paper: the cross entropy, off by default because the adjusted teacher
agrees with the label anyway, is an option. So is R, the label revision of Lan et al.
2024 (arXiv:2404.03693): its weight is eta wherever the label is on top, and here it
always is. The temperature and epsilon that the paper used could not be verified; the
defaults are the usual ones.
"""

from kdjax import contracts
from kdjax.methods.base import Method
from kdjax.methods.terms import soft_teacher
from kdjax.supervision.adjustment import smoothed_label
from kdjax.supervision.pipeline import Supervisor, fixed
from kdjax.supervision.revision import with_revision

REFERENCE = "Wen et al., Preparing Lessons, Neurocomputing 2021"


def build(
    *,
    temperature: float = 4.0,
    epsilon: float = 0.1,
    label_weight: float = 0.0,
    eta: float | None = None,
) -> Method:
    """Softened teacher, or a smoothed label where it is wrong.

    Args:
      temperature: > 0, finite; the targets keep their digits up to about 100.
      epsilon: share of the label spread evenly over all classes, from 0 to 1.
      label_weight: of the cross entropy with the label, >= 0; left out at 0.
      eta: of label revision, above 0 and below 1; None for none.
    """
    contracts.positive("ka_lsr", "temperature", temperature)
    contracts.fraction("ka_lsr", "epsilon", epsilon)
    supervisor = Supervisor(
        temperature=fixed(temperature), target=(smoothed_label(epsilon),)
    )
    return soft_teacher("ka_lsr", with_revision(supervisor, eta), label_weight)
