"""Sequential distillation: the objective of one link of a chain of networks.

T. Kim, J. Oh, N. Kim, S. Cho, S.-Y. Yun, "Comparing Kullback-Leibler Divergence and
Mean Squared Error Loss in Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919).

    L = CE(s, y)                                               link = "ce"
    L = tau^2 KL(softmax(t / tau) || softmax(s / tau))         link = "kl"
    L = 1/K ||s - t||^2                                        link = "mse"

Each network of the chain learns from the one before, which is frozen; the first learns
from the labels. The chain itself, which run is the teacher of which, is the config's
`stages`; a stage names one link.

| symbol | argument    |
|--------|-------------|
| tau    | temperature |

The paper's chains: WRN-28-4 -> WRN-16-4 -> WRN-16-2 with temperature 3 or the squared
error, alone or one after the other.

Departs from the paper: the squared error is the mean over classes, as in the authors'
code, where the paper writes the sum.
"""

from kdjax import contracts
from kdjax.methods import ce, kd, mse
from kdjax.methods.base import Method

REFERENCE = "Kim et al., Comparing KL and MSE in Knowledge Distillation, IJCAI 2021"


def build(*, link: str, temperature: float = 3.0) -> Method:
    """One link. After the first none sees a label.

    Args:
      link: "ce" for the first network, else "kl" or "mse".
      temperature: of "kl", > 0; `float("inf")` is logit matching.
    """
    contracts.positive("chain", "temperature", temperature, infinity=True)
    if link == "ce":
        return ce.build()
    if link == "kl":
        return kd.build(alpha=1.0, temperature=temperature)
    if link == "mse":
        return mse.build()
    raise ValueError(f"chain: link is {link!r}; expected 'ce', 'kl' or 'mse'.")
