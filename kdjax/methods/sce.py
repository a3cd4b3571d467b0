"""Symmetric cross entropy: cross entropy and its reverse; for noisy labels, no teacher.

Y. Wang, X. Ma, Z. Chen, Y. Luo, J. Yi, J. Bailey, "Symmetric Cross Entropy for Robust
Learning with Noisy Labels", ICCV 2019 (arXiv:1908.06112). On the clean part of a noisy
set: T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021.

    L = alpha CE(s, y) + beta RCE(s, y),   RCE = - sum_k p_k log clip(y_k, exp(A), 1)

| symbol | argument |
|--------|----------|
| alpha  | alpha    |
| beta   | beta     |
| A      | log_zero |

The second paper's settings: CIFAR-10 alpha 0.1, beta 1; CIFAR-100 alpha 6, beta 0.1,
with ResNet-34 alpha 1, beta 0.4.

Departs from the paper: nothing; A is -4 as in the second paper's code. The run's
selection, if it has one, says which samples are averaged over.
"""

from kdjax import contracts
from kdjax.losses import robust
from kdjax.methods.base import Method, Term
from kdjax.methods.terms import hard_label, on_selected

REFERENCE = "Wang et al., Symmetric Cross Entropy, ICCV 2019"


def build(*, alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0) -> Method:
    """Cross entropy and reverse cross entropy over the selected samples.

    Args:
      alpha: of the cross entropy, > 0.
      beta: of the reverse cross entropy, > 0.
      log_zero: what log 0 is taken to be, below 0; only beta * log_zero matters.
    """
    contracts.positive("sce", "alpha", alpha)
    contracts.positive("sce", "beta", beta)
    contracts.positive("sce", "-log_zero", -log_zero)

    def values(inputs):
        logits, labels = inputs.student.logits, inputs.labels
        return robust.reverse_cross_entropy(logits, labels, log_zero)

    reverse = Term("reverse_cross_entropy", beta, values)
    return Method(terms=(on_selected(hard_label(alpha)), on_selected(reverse)))
