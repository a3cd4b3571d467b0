"""DIST: correlations of predictions, over the classes and over the batch.

T. Huang, S. You, F. Wang, C. Qian, C. Xu, "Knowledge Distillation from A Stronger
Teacher", NeurIPS 2022 (arXiv:2205.10536).

    L = CE(s, y) + tau^2 [beta (1 - mean_i Pearson(p^s_i., p^t_i.))
                          + gamma (1 - mean_k Pearson(p^s_.k, p^t_.k))]

| symbol | argument    |
|--------|-------------|
| beta   | beta        |
| gamma  | gamma       |
| tau    | temperature |

The authors' settings: beta, gamma and tau 1 on ImageNet, beta and gamma 2 and tau 4 on
CIFAR-100 for all pairs.

Departs from the paper: nothing. The second part is of the selected samples of the whole
batch, on any number of devices.
"""

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022"


def build(*, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0) -> Method:
    """Cross entropy and both correlations; a part of weight 0 is left out.

    Args:
      beta: of the correlation over the classes, >= 0.
      gamma: of the correlation over the samples, >= 0.
      temperature: > 0, finite.
    """
    contracts.not_negative("dist", "beta", beta)
    contracts.not_negative("dist", "gamma", gamma)
    contracts.positive("dist", "temperature", temperature)
    parts = (
        Term("between_classes", beta, _between_classes, NOTHING, weighted=True),
        Term("within_class", gamma, _within_class, NOTHING, weighted=True),
    )
    terms = (hard_label(1.0), *(part for part in parts if part.coefficient))
    return Method(terms=terms, supervisor=Supervisor(temperature=fixed(temperature)))


def _between_classes(inputs):
    s = inputs.supervision
    pair = student_logits(inputs), s.logits, s.temperature
    return s.weight * s.temperature**2 * losses.dist_between_classes(*pair)


def _within_class(inputs):
    s = inputs.supervision
    pair = student_logits(inputs), s.logits, s.temperature
    loss = losses.dist_within_class(*pair, where=s.weight)
    return s.weight * s.temperature**2 * loss
