"""Self-distillation: one generation, trained by networks of the same architecture.

T. Furlanello, Z. C. Lipton, M. Tschannen, L. Itti, A. Anandkumar, "Born-Again Neural
Networks", ICML 2018 (arXiv:1805.04770); in the form of T. Kim, J. Oh, N. Kim, S. Cho,
S.-Y. Yun, "Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in
Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919).

    L_g = (1 - alpha) CE(s, y) + alpha tau^2 KL(softmax(t / tau) || softmax(s / tau))

The teacher t is the network of generation g - 1, frozen, of the same architecture; the
first one learns from the labels. The generations are the config's `stages`.

| symbol | argument    |
|--------|-------------|
| alpha  | alpha       |
| tau    | temperature |

Departs from the paper: alpha 1 and temperature 20 are of Kim et al.'s earlier draft
(its table 7); Furlanello et al. match the teacher's outputs as they are, which is
temperature 1. Their ensembles of several generations are not made here, nor are their
two variations of the target.
"""

from kdjax import contracts
from kdjax.methods import kd
from kdjax.methods.base import Method

REFERENCE = "Furlanello et al., Born-Again Neural Networks, ICML 2018"


def build(*, alpha: float = 1.0, temperature: float = 20.0) -> Method:
    """One generation, trained by the one before.

    Args:
      alpha: share of the teacher, above 0 and up to 1. At 1 no label is used.
      temperature: > 0; `float("inf")` is logit matching.
    """
    contracts.fraction("born_again", "alpha", alpha)
    contracts.positive("born_again", "alpha", alpha)
    contracts.positive("born_again", "temperature", temperature, infinity=True)
    return kd.build(alpha=alpha, temperature=temperature)
