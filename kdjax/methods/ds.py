"""Data selection: knowledge distillation on selected samples, labels on the others.

W. Lan, Y.-m. Cheung, Q. Xu, B. Liu, Z. Hu, M. Li, Z. Chen, "Improve Knowledge
Distillation via Label Revision and Data Selection", 2024 (arXiv:2404.03693).

    denominator = "sets":
    L = mean_{not D} CE(s, y) + (1 - alpha) mean_D CE(s, y)
        + alpha mean_D tau^2 KL(softmax(t / tau) || softmax(s / tau))

    denominator = "batch", with B samples in the batch:
    L = (1 / B) [sum_{not D} CE(s, y) + (1 - alpha) sum_D CE(s, y)
                 + alpha sum_D tau^2 KL(softmax(t / tau) || softmax(s / tau))]

D are the selected samples of the batch; a mean over no sample is 0.

| symbol | argument         |
|--------|------------------|
| alpha  | alpha            |
| tau    | temperature      |
| D      | run's selection  |

Departs from the paper: it says that a part of the samples is supervised by the teacher
and the rest by the labels. What could be read of it does not say what the losses are
divided by: with "batch" every sample counts once; with "sets" the labels of one fifth,
where four fifths are selected, weigh as much as the teacher on all others. Hinton's
loss as the teacher's and infinity as a temperature are choices made here too. Its label
revision is left out (see lr_ds). How D is selected is not the method's business.
"""

import dataclasses

from kdjax import contracts
from kdjax.methods import kd
from kdjax.methods.base import Method
from kdjax.methods.denominators import DENOMINATOR, check_denominator
from kdjax.methods.fallback import with_label_fallback

REFERENCE = "Lan et al., Label Revision and Data Selection, 2024"


def build(
    *, temperature: float, alpha: float = 1.0, denominator: str = DENOMINATOR
) -> Method:
    """Softened teacher on the selected samples, cross entropy on the others.

    Args:
      temperature: > 0; `float("inf")` is logit matching.
      alpha: share of the teacher on the selected samples, above 0 and up to 1; at 1
        their labels are not used.
      denominator: "sets", each set of samples has its own mean, or "batch", every
        sample counts once.

    >>> [term.name for term in build(temperature=4, denominator="batch").terms]
    ['label_unselected', 'soft_logits']
    """
    contracts.fraction("ds", "alpha", alpha)
    contracts.positive("ds", "alpha", alpha)
    contracts.positive("ds", "temperature", temperature, infinity=True)
    check_denominator("ds", denominator)
    plain = kd.build(alpha=alpha, temperature=temperature)
    method = with_label_fallback(plain, denominator)
    return dataclasses.replace(method, needs=("selection",))
