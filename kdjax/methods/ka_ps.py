"""Logits adjustment by probability shift: wrong teachers put the label on top.

T. Wen, S. Lai, X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better
Supervision", Neurocomputing 454, 2021 (arXiv:1911.07471, as knowledge adjustment; in
the journal, logits adjustment). Probability shift (PS), figure 2.

    L = tau^2 KL(R(A(softmax(t / tau))) || softmax(s / tau)) + label_weight CE(s, y)
    A(q) = q with q_y and q_m swapped,   m = argmax q;   A(q) = q where m = y
    R(q) = eta q + (1 - eta) e_y;   R(q) = q without eta

| symbol | argument            |
|--------|---------------------|
| tau    | temperature         |
| -      | label_weight        |
| R, eta | eta: label revision |

Departs from the paper: the swap is done on the logits, which gives the same targets at
any temperature with all digits; the cross entropy, off by default because the adjusted
teacher agrees with the label anyway, is an option. So is R, the label revision of Lan
et al. 2024 (arXiv:2404.03693): its weight is eta wherever the label is on top, and here
it always is; `dtd_flsw` says how it grows with tau. The temperature that the paper used
could not be verified: 4 is what the code of "Refined Logits" (arXiv:2408.07703) takes
on CIFAR-100, and 1 on ImageNet.
"""

from kdjax import contracts
from kdjax.methods.base import Method
from kdjax.methods.terms import soft_teacher
from kdjax.supervision.adjustment import probability_shift
from kdjax.supervision.pipeline import Supervisor, fixed
from kdjax.supervision.revision import with_revision

REFERENCE = "Wen et al., Preparing Lessons, Neurocomputing 2021"


def build(
    *, temperature: float = 4.0, label_weight: float = 0.0, eta: float | None = None
) -> Method:
    """Softened teacher, adjusted where it is wrong. A part with weight 0 is left out.

    Args:
      temperature: > 0, finite.
      label_weight: of the cross entropy with the label, >= 0.
      eta: of label revision, above 0 and below 1; None for none.
    """
    contracts.positive("ka_ps", "temperature", temperature)
    supervisor = Supervisor(temperature=fixed(temperature), logits=(probability_shift,))
    return soft_teacher("ka_ps", with_revision(supervisor, eta), label_weight)
