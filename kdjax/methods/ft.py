"""Factor transfer: the student's translated factor against the teacher's.

J. Kim, S. Park, N. Kwak, "Paraphrasing Complex Network: Network Compression via Factor
Transfer", NeurIPS 2018 (arXiv:1802.04977).

    L = CE(s, y) + b FT(T(f_s), P(f_t))

P is the paraphraser that `ft_paraphraser` trained in an initial stage, frozen here and
taken over by `config.initial.parts = "connectors"`; the translator T is trained with
the student (`models.connectors`). FT is `losses.factor_transfer`.

| symbol                              | argument        |
|-------------------------------------|-----------------|
| b                                   | weight          |
| f_s                                 | student_feature |
| f_t                                 | teacher_feature |
| k, channels of a factor over f_t's  | k               |
|                                     | batch_norm      |

form "repdistiller" compares the normalised attention of the factors: the published
numbers on CIFAR-100 have it, with b = 200 and k = .5; not tuned per pair. form "paper"
compares the normalised factors themselves, with p = 1.

Departs from the paper: the form, by default, and no batch norm in the paraphraser, as
in RepDistiller's code; the translator has it in both.
"""

import jax

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label
from kdjax.models.connectors import Paraphraser, Translator, from_module

REFERENCE = "Kim et al., Paraphrasing Complex Network, NeurIPS 2018"
FORMS = ("repdistiller", "paper")


def build(
    *,
    weight: float = 200.0,
    form: str = "repdistiller",
    student_feature: str = "stage3",
    teacher_feature: str = "stage3",
    k: float = 0.5,
    batch_norm: bool = False,
) -> Method:
    """Cross entropy and the distance of the factors.

    Args:
      weight: of the distance, > 0.
      form: "repdistiller" or "paper".
      student_feature, teacher_feature: maps after their ReLU.
      k: share of the teacher's channels that the factor has, > 0.
      batch_norm: in the paraphraser; as the initial stage had it, like k and
        teacher_feature.
    """
    contracts.positive("ft", "weight", weight)
    contracts.positive("ft", "k", k)
    contracts.flag("ft", "batch_norm", batch_norm)
    if form not in FORMS:
        expected = f"{' or '.join(FORMS)}.{contracts.nearest(str(form), FORMS)}"
        raise ValueError(f"ft: form is {form!r}; expected {expected}")

    def factors(inputs):
        student = inputs.connected["translator"]["factor"]
        teacher = jax.lax.stop_gradient(inputs.connected["paraphraser"]["factor"])
        return losses.factor_transfer(student, teacher, form)

    paraphraser = Paraphraser(teacher_feature, k, batch_norm)
    translator = Translator(student_feature, teacher_feature, k)
    return Method(
        terms=(hard_label(1.0), Term("factors", weight, factors, NOTHING)),
        connectors={
            "paraphraser": from_module(paraphraser, rate=0.0),
            "translator": from_module(translator),
        },
        student_features=(student_feature,),
        teacher_features=(teacher_feature,),
    )
