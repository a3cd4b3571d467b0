"""EA-KD: the softened teacher, more on the samples of high entropy.

C.-P. Su, C.-H. Tseng, B. Pu, L. Zhao, J. Yang, Z. Chen, S.-J. Lee, "EA-KD: Entropy-
based Adaptive Knowledge Distillation", ICCV 2025 (arXiv:2311.13621).

    L = (1 - alpha) CE(s, y) + alpha w tau^2 KL(softmax(t / tau) || softmax(s / tau))
    w = 1/2 H_t (1 + H_s / b),   H the entropy of softmax(z / T'), b = log K

| symbol | argument            |
|--------|---------------------|
| alpha  | alpha               |
| tau    | temperature         |
| T'     | entropy_temperature |
| b      | scale               |

w carries no gradient. The authors' settings: T' 3 on CIFAR-100 and 2 on ImageNet, with
alpha and tau of plain distillation, .9 and 4 on CIFAR-100. Not tuned per pair.

Departs from the paper: nothing. The authors' code divides by K = 100 in place of log K
on CIFAR-100: scale = "classes"; numbers that it gave there belong to that.

The weights are a rule: `method.supervisor = {"name": "ea_kd"}` gives them to another
method.
"""

from kdjax import contracts
from kdjax.methods.base import Method
from kdjax.methods.terms import labels_and_teacher, soft_logits
from kdjax.supervision.entropy import by_entropy
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Su et al., EA-KD: Entropy-based Adaptive Knowledge Distillation, ICCV 2025"


def build(
    *,
    alpha: float = 0.9,
    temperature: float = 4.0,
    entropy_temperature: float = 3.0,
    scale: str = "log_classes",
) -> Method:
    """Cross entropy and the softened teacher, weighed by sample.

    Args:
      alpha: share of the teacher, above 0 and up to 1. At 1 no label is used.
      temperature: > 0, finite.
      entropy_temperature: of the entropies alone, > 0, finite.
      scale: what the student's entropy is divided by, "log_classes" or "classes".

    >>> [term.name for term in build().terms]
    ['hard_label', 'soft_logits']
    """
    contracts.fraction("ea_kd", "alpha", alpha)
    contracts.positive("ea_kd", "alpha", alpha)
    contracts.positive("ea_kd", "temperature", temperature)
    contracts.positive("ea_kd", "entropy_temperature", entropy_temperature)
    supervisor = Supervisor(
        temperature=fixed(temperature), weight=(by_entropy(entropy_temperature, scale),)
    )
    return labels_and_teacher(alpha, soft_logits(alpha), supervisor)
