"""Weighted transformed teacher matching: more where the teacher is less sure.

K. Zheng, E.-H. Yang, "Knowledge Distillation Based on Transformed Teacher Matching",
ICLR 2024 (arXiv:2402.11148).

    L = CE(s, y) + beta U(t) KL(q || softmax(s)),   q_k = softmax(t)_k^gamma / U(t)
    U(t) = sum_c softmax(t)_c^gamma

| symbol | argument |
|--------|----------|
| beta   | weight   |
| gamma  | power    |

U is from 1 to K^(1 - gamma), so beta is far smaller than in `ttm`. The defaults are
those of the authors' only example, where the loss stands beside CRD (VGG-13 to VGG-8 on
CIFAR-100). Both are tuned per pair; the paper's appendix lists them, the authors' code
does not.

Departs from the paper: nothing; the sum over the batch is divided by the number of
samples and not by the sum of U, as in the authors' code.
"""

from kdjax.methods import ttm
from kdjax.methods.base import Method

REFERENCE = "Zheng, Yang, KD Based on Transformed Teacher Matching, ICLR 2024"


def build(*, weight: float = 4.0, power: float = 0.2) -> Method:
    """Cross entropy and the transformed teacher, weighed by sample.

    Args:
      weight: of the teacher, > 0.
      power: of its probabilities, > 0; below 1 it softens.

    >>> [term.name for term in build().terms]
    ['hard_label', 'transformed_teacher']
    """
    return ttm.compose("wttm", weight, power, weighs=True)
