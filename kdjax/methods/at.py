"""AT: attention maps of both networks, level by level.

S. Zagoruyko, N. Komodakis, "Paying More Attention to Attention: Improving the
Performance of Convolutional Neural Networks via Attention Transfer", ICLR 2017
(arXiv:1612.03928).

    L = CE(s, y) + b sum_l mean_hw (q^s_l,hw - q^t_l,hw)^2
    q = Q / ||Q||_2 over the positions,   Q_hw = mean_c |F_hwc|^p

| symbol | argument                           |
|--------|------------------------------------|
| b      | weight                             |
| p      | power                              |
| F_l    | student_features, teacher_features |

The published numbers are RepDistiller's: form "repdistiller", p 2, all stages, weight
1000 for all pairs (tuned per pair: no).

Departs from the paper: form "repdistiller", the default and the authors' code, has the
mean of squares where equation 2 has the norm of the difference, form "paper". The
paper's beta / 2 is b; it divides 1000 by positions and batch in its experiments.
"""

import functools

from kdjax import losses
from kdjax.losses.maps import check_choice
from kdjax.methods.base import Method
from kdjax.methods.features import STAGES, beside_labels, every_level, pairs_of

REFERENCE = "Zagoruyko & Komodakis, Paying More Attention to Attention, ICLR 2017"


def build(
    *,
    weight: float = 1000.0,
    power: float = 2.0,
    form: str = "repdistiller",
    student_features: tuple[str, ...] = STAGES,
    teacher_features: tuple[str, ...] = STAGES,
) -> Method:
    """Cross entropy and attention transfer.

    Args:
      weight: > 0.
      power: of the features in the attention, from 1.
      form: "repdistiller" or "paper".
      student_features, teacher_features: maps, as many of both; channels may differ.
    """
    check_choice("at", "form", form, ("repdistiller", "paper"))
    if not power >= 1:
        raise ValueError(f"at: power is {power!r}; expected a number from 1.")
    pairs = pairs_of("at", student_features, teacher_features)
    loss = functools.partial(losses.attention_transfer, power=power, form=form)
    values = every_level(loss, pairs)
    return beside_labels("at", "attention_transfer", weight, values, pairs)
