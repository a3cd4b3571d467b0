"""Generalised decoupled distillation: the teacher's top classes and the rest.

B. Zheng, R. Cheng, "Rethinking Decoupled Knowledge Distillation: A Predictive
Distribution Perspective", TNNLS 2025 (arXiv:2512.04625); the details are those of the
authors' code.

    L = CE(s, y) + min(epoch / warm-up, 1) tau^2 [w0 KL(top | rest)
                                           + w1 KL(within top) + w2 KL(within rest)]

The top are the teacher's k largest classes; the first part is the KL of (P, 1 - P) with
P their probability, the others are those of the softmax within each set.

| symbol  | argument      |
|---------|---------------|
| w0      | w0            |
| w1      | w1            |
| w2      | w2            |
| k       | k             |
| tau     | temperature   |
| warm-up | warmup_epochs |

The authors' settings on CIFAR-100: k 5, tau 4, w0 1, a warm-up of 20 epochs, and (w1,
w2) tuned per pair: (1, 1) ResNet-56 to 20, (2, 6) WRN-40-2 to WRN-16-2, (2, 8)
ResNet-32x4 to ResNet-8x4.

Departs from the paper: the classes of the other set are left out exactly, where the
authors' code subtracts 1000 from their logits; equal at any logits that occur.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.coefficients import warmed
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Zheng, Cheng, Rethinking Decoupled Knowledge Distillation, TNNLS 2025"
_PARTS = ("between", "within_top", "within_rest")


def build(
    *,
    steps_per_epoch: float,
    num_classes: int | None = None,
    w0: float = 1.0,
    w1: float = 2.0,
    w2: float = 8.0,
    k: int = 5,
    temperature: float = 4.0,
    warmup_epochs: float = 20.0,
) -> Method:
    """Cross entropy and the three parts; a part of weight 0 is left out.

    Args:
      steps_per_epoch: of the run; need not be whole.
      num_classes: of the run; where it is given, k is compared with it.
      w0: of the top classes against the rest, >= 0.
      w1: of the classes within the top, >= 0.
      w2: of the classes within the rest, >= 0.
      k: how many classes the top has, from 1 to classes - 1.
      temperature: > 0, finite.
      warmup_epochs: over which the weights climb linearly from 0; 0: none.
    """
    contracts.positive("gdkd", "temperature", temperature)
    if k < 1 or (num_classes is not None and k >= num_classes):
        most = "classes - 1" if num_classes is None else f"{num_classes - 1}"
        raise ValueError(f"gdkd: k is {k}; expected 1 to {most}.")
    terms = [hard_label(1.0)]
    for name, part, weight in zip(
        ("w0", "w1", "w2"), _PARTS, (w0, w1, w2), strict=True
    ):
        contracts.not_negative("gdkd", name, weight)
        if weight:
            schedule = warmed("gdkd", weight, warmup_epochs, steps_per_epoch)
            terms.append(_part(part, schedule, k))
    if len(terms) == 1:
        raise ValueError("gdkd: w0, w1 and w2 are 0; expected one above 0.")
    supervisor = Supervisor(temperature=fixed(temperature))
    return Method(terms=tuple(terms), supervisor=supervisor)


def _part(name: str, coefficient, k: int) -> Term:
    def values(inputs):
        s = inputs.supervision
        pair = student_logits(inputs), s.logits
        parts = losses.generalised_decoupled(*pair, s.temperature, k)
        return s.weight * s.temperature**2 * getattr(parts, name)

    return Term(name, coefficient, values, NOTHING, weighted=True)
