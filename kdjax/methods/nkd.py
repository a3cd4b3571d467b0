"""Normalised knowledge distillation: the label's class, and the others renormalised.

Z. Yang, A. Zeng, Z. Li, T. Zhang, C. Yuan, Y. Li, "From Knowledge Distillation to
Self-Knowledge Distillation: A Unified Approach with Normalized Loss and Customized Soft
Labels", ICCV 2023 (arXiv:2303.13005).

    L = CE(s, y) - p_y log q_y - gamma tau^2 sum_{k != y} p'_k log q'_k

p and q are the predictions of teacher and student at temperature 1, p' and q' those at
tau over the classes other than the label.

| symbol | argument    |
|--------|-------------|
| gamma  | gamma       |
| tau    | temperature |

The authors' settings: gamma 1.5 and tau 1 on ImageNet, for all pairs; their
configuration for CIFAR-100, ResNet-34 to 18, has gamma 3.5 and tau 3. Numbers on
RepDistiller's pairs are of third parties.

Departs from the paper: nothing.
"""

from kdjax import contracts, losses
from kdjax.methods.base import Method, Term
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Yang et al., From KD to Self-KD with Normalized Loss, ICCV 2023"


def build(*, gamma: float = 1.5, temperature: float = 1.0) -> Method:
    """Cross entropy and both parts of the teacher's prediction.

    Args:
      gamma: of the other classes, >= 0; at 0 the part is left out.
      temperature: of the other classes, > 0, finite.

    >>> [term.name for term in build().terms]
    ['hard_label', 'target_class', 'other_classes']
    """
    contracts.not_negative("nkd", "gamma", gamma)
    contracts.positive("nkd", "temperature", temperature)
    other = Term("other_classes", gamma, _other_classes, weighted=True)
    return Method(
        terms=(hard_label(1.0), target_class(1.0), *([other] if gamma else [])),
        supervisor=Supervisor(temperature=fixed(temperature)),
    )


def target_class(coefficient: float) -> Term:
    """weight * cross entropy with the label, times the teacher's confidence in it."""

    def values(inputs):
        s = inputs.supervision
        pair = student_logits(inputs), s.logits
        return s.weight * losses.normalised_target(*pair, inputs.labels)

    return Term("target_class", coefficient, values, weighted=True)


def _other_classes(inputs):
    s = inputs.supervision
    loss = losses.normalised_nontarget(
        student_logits(inputs), s.logits, inputs.labels, s.temperature
    )
    return s.weight * s.temperature**2 * loss
