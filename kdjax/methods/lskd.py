"""Knowledge distillation on standardised logits of both networks.

S. Sun, W. Ren, J. Li, R. Wang, X. Cao, "Logit Standardization in Knowledge
Distillation", CVPR 2024 (arXiv:2403.01427).

    z' = (z - mean(z)) / std(z) of student and teacher, over the classes
    L = label_weight CE(s, y) + weight tau^2 KL(softmax(t' / tau) || softmax(s' / tau))

The authors' settings on CIFAR-100: tau 2, weight 9, label_weight .1; tuned per pair.

Departs from the paper: nothing; std is that of a sample, and 1e-7 is added to it, as in
the authors' code. Other methods take the rule as `method.supervisor = {"name":
"standardise"}`.
"""

from kdjax import contracts
from kdjax.losses.correlation import standardise
from kdjax.methods.base import Method
from kdjax.methods.terms import hard_label, soft_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024"


def build(
    *, temperature: float = 2.0, weight: float = 9.0, label_weight: float = 0.1
) -> Method:
    """Cross entropy and the softened teacher, both sides standardised.

    Args:
      temperature: > 0, finite.
      weight: of the teacher, > 0.
      label_weight: of the label, >= 0; at 0 it is left out.
    """
    contracts.positive("lskd", "temperature", temperature)
    contracts.positive("lskd", "weight", weight)
    contracts.not_negative("lskd", "label_weight", label_weight)
    labels = (hard_label(label_weight),) if label_weight else ()
    return Method(
        terms=(*labels, soft_logits(weight)),
        supervisor=Supervisor(temperature=fixed(temperature), transform=(standardise,)),
    )
