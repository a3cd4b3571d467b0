"""Data selection: knowledge distillation on chosen samples, labels on the others.

W. Lan, Y.-m. Cheung, Q. Xu, B. Liu, Z. Hu, M. Li, Z. Chen, "Improve Knowledge
Distillation via Label Revision and Data Selection", 2024 (arXiv:2404.03693).

    L = mean_{not D} CE(s, y) + (1 - alpha) mean_D CE(s, y)
        + alpha mean_D tau^2 KL(softmax(t / tau) || softmax(s / tau))

D are the selected samples of the batch; a mean over no sample is 0.

| symbol | argument         |
|--------|------------------|
| alpha  | alpha            |
| tau    | temperature      |
| D      | note "selection" |

Departs from the paper: it says that a part of the samples is supervised by the teacher
and the rest by the labels; Hinton's loss as the teacher's, each set's own mean and
infinity as a temperature are choices made here. Its label revision is left out (see
lr_ds). How D is chosen is not the method's business: it comes as a note.
"""

import dataclasses

from kdjax import contracts
from kdjax.methods import kd
from kdjax.terms import Method, Term, chosen, hard_label, label_where_silent, share

REFERENCE = "Lan et al., Label Revision and Data Selection, 2024"


def build(*, temperature: float, alpha: float = 1.0) -> Method:
    """Softened teacher on the selected samples, cross entropy on the others.

    Args:
      temperature: > 0; `float("inf")` is logit matching.
      alpha: share of the teacher on the selected samples, above 0 and up to 1; at 1
        their labels are not used.

    Raises:
      ValueError: a number is outside its range; the message names it.

    >>> [term.name for term in build(temperature=4).terms]
    ['label_where_silent', 'soft_logits']
    """
    contracts.fraction("ds", "alpha", alpha)
    contracts.positive("ds", "alpha", alpha)
    contracts.positive("ds", "temperature", temperature, infinity=True)
    terms = (label_where_silent(1.0),)
    if alpha < 1:
        terms += (chosen(hard_label(1.0 - alpha)),)
    plain = kd.build(alpha=1.0, temperature=temperature)
    terms += tuple(
        dataclasses.replace(heard(term), coefficient=float(alpha))
        for term in plain.terms
    )
    return Method(terms=terms, supervisor=plain.supervisor, needs=("selection",))


def heard(term: Term) -> Term:
    """A teacher's term as the mean over the samples on which the teacher is heard."""

    def values(views):
        s = views.supervision
        s = s._replace(weight=share(s.weight))
        return term.values(views._replace(supervision=s))

    return dataclasses.replace(term, values=values)
