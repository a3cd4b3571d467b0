"""Label revision with data selection: a teacher on the selected samples only.

W. Lan, Y.-m. Cheung, Q. Xu, B. Liu, Z. Hu, M. Li, Z. Chen, "Improve Knowledge
Distillation via Label Revision and Data Selection", 2024 (arXiv:2404.03693).

    denominator = "sets":
    L = mean_{R or not D} CE(s, y) + lambda1 mean_{R,k} (s_k - t_k)^2
                                   + lambda2 mean_{W,k} (softmax(s)_k - p_k)^2

    denominator = "batch", with B samples in the batch:
    L = (1 / B) [sum_{R or not D} CE(s, y) + lambda1 sum_R mean_k (s_k - t_k)^2
                                   + lambda2 sum_W mean_k (softmax(s)_k - p_k)^2]

D are the selected samples of the batch, R those of them that the teacher classifies
correctly, W the other ones of D; a mean over no sample is 0. p is lr_mse's.

| symbol  | argument           |
|---------|--------------------|
| lambda1 | lambda1            |
| lambda2 | lambda2            |
| eta     | eta                |
| D       | run's selection    |

lambda1 depends on the number K of classes, as lr_mse says: by default 4 K / 100.

Departs from the paper: as lr_mse does. The paper supervises D by the revised teacher
and the rest by the labels. What could be read of it does not say what the losses are
divided by; that with "sets" the labels of the rest and of R share one mean is a choice
made here. How D is selected is not the method's business.
"""

import dataclasses

from kdjax.methods import lr_mse
from kdjax.methods.base import Method
from kdjax.methods.denominators import DENOMINATOR

REFERENCE = "Lan et al., Label Revision and Data Selection, 2024"


def build(
    *,
    lambda1: float | None = None,
    lambda2: float = 1.0,
    eta: float = 0.8,
    denominator: str = DENOMINATOR,
    num_classes: int | None = None,
) -> Method:
    """lr_mse on the selected samples, labels on the others.

    Arguments as `lr_mse`.

    >>> build(lambda1=0.4, denominator="batch").needs
    ('selection',)
    """
    lambda1 = lr_mse.scaled_by_classes("lr_ds", lambda1, num_classes)
    method = lr_mse.compose("lr_ds", lambda1, lambda2, eta, denominator)
    return dataclasses.replace(method, needs=("selection",))
