"""Generalised cross entropy: a robust loss for noisy labels; no teacher.

Z. Zhang, M. R. Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural
Networks with Noisy Labels", NeurIPS 2018 (arXiv:1805.07836). On the clean part of a
noisy set: T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021.

    L = (1 - p_y^q) / q,   p = softmax(s)

| symbol | argument |
|--------|----------|
| q      | q        |

Departs from the paper: no truncation and no pruning, as in the code of the second
paper; instead the run's selection, if it has one, says which samples are averaged over.
"""

from kdjax import contracts
from kdjax.losses import robust
from kdjax.methods.base import Method, Term
from kdjax.methods.terms import on_selected

REFERENCE = "Zhang and Sabuncu, Generalized Cross Entropy Loss, NeurIPS 2018"


def build(*, q: float = 0.7) -> Method:
    """Generalised cross entropy over the selected samples.

    Args:
      q: above 0, up to 1; towards 0 it is cross entropy, at 1 half the absolute error.
    """
    contracts.positive("gce", "q", q)
    contracts.fraction("gce", "q", q)

    def values(inputs):
        return robust.generalized_cross_entropy(inputs.student.logits, inputs.labels, q)

    return Method(terms=(on_selected(Term("generalized_cross_entropy", 1.0, values)),))
