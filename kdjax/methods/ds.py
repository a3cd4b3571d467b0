"""Data selection: knowledge distillation on selected samples, labels on the others.

W. Lan, Y.-m. Cheung, Q. Xu, B. Liu, Z. Hu, M. Li, Z. Chen, "Improve Knowledge
Distillation via Label Revision and Data Selection", 2024 (arXiv:2404.03693).

    L = mean_{not D} CE(s, y) + (1 - alpha) mean_D CE(s, y)
        + alpha mean_D tau^2 KL(softmax(t / tau) || softmax(s / tau))

D are the selected samples of the batch; a mean over no sample is 0.

| symbol | argument         |
|--------|------------------|
| alpha  | alpha            |
| tau    | temperature      |
| D      | run's selection  |

Departs from the paper: it says that a part of the samples is supervised by the teacher
and the rest by the labels; Hinton's loss as the teacher's, each set's own mean and
infinity as a temperature are choices made here. Its label revision is left out (see
lr_ds). How D is selected is not the method's business.
"""

import dataclasses

from kdjax import contracts
from kdjax.methods import kd
from kdjax.methods.base import Method, with_label_fallback

REFERENCE = "Lan et al., Label Revision and Data Selection, 2024"


def build(*, temperature: float, alpha: float = 1.0) -> Method:
    """Softened teacher on the selected samples, cross entropy on the others.

    Args:
      temperature: > 0; `float("inf")` is logit matching.
      alpha: share of the teacher on the selected samples, above 0 and up to 1; at 1
        their labels are not used.
    """
    contracts.fraction("ds", "alpha", alpha)
    contracts.positive("ds", "alpha", alpha)
    contracts.positive("ds", "temperature", temperature, infinity=True)
    plain = kd.build(alpha=alpha, temperature=temperature)
    return dataclasses.replace(with_label_fallback(plain), needs=("selection",))
