"""Transformed teacher matching: a power of the teacher's prediction, student as it is.

K. Zheng, E.-H. Yang, "Knowledge Distillation Based on Transformed Teacher Matching",
ICLR 2024 (arXiv:2402.11148).

    L = CE(s, y) + beta KL(q || softmax(s)),   q_k = softmax(t)_k^gamma / sum

That is a temperature of 1 / gamma on the teacher alone, and no squared temperature.

| symbol | argument |
|--------|----------|
| beta   | weight   |
| gamma  | power    |

The defaults are those of the authors' example, VGG-13 to VGG-8 on CIFAR-100. Both are
tuned per pair; the paper's appendix lists them, the authors' code does not.

Departs from the paper: nothing.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor

REFERENCE = "Zheng, Yang, KD Based on Transformed Teacher Matching, ICLR 2024"


def build(*, weight: float = 45.0, power: float = 0.1) -> Method:
    """Cross entropy and the transformed teacher.

    Args:
      weight: of the teacher, > 0.
      power: of its probabilities, > 0; below 1 it softens.

    >>> [term.name for term in build().terms]
    ['hard_label', 'transformed_teacher']
    """
    return compose("ttm", weight, power, weighs=False)


def compose(where: str, weight: float, power: float, weighs: bool) -> Method:
    """The method, or with `weighs` the one of `wttm`; `where` opens its errors."""
    contracts.positive(where, "weight", weight)
    contracts.positive(where, "power", power)

    def values(inputs):
        s = inputs.supervision
        kl = losses.transformed_teacher_matching(
            student_logits(inputs), s.logits, power
        )
        if weighs:
            kl = kl * losses.transformed_teacher_weight(s.logits, power)
        return s.weight * kl

    term = Term("transformed_teacher", weight, values, NOTHING, weighted=True)
    return Method(terms=(hard_label(1.0), term), supervisor=Supervisor())
