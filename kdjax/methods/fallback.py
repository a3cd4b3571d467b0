"""Objectives on selected samples: the others keep to their labels.

W. Lan et al., "Improve Knowledge Distillation via Label Revision and Data Selection",
2024 (arXiv:2404.03693).
"""

import dataclasses

import jax.numpy as jnp

from kdjax import losses
from kdjax.methods.base import Method, Schedule, Term
from kdjax.methods.denominators import (
    DENOMINATOR,
    check_denominator,
    normalise_weights,
)
from kdjax.methods.terms import on_selected


def on_supervised(term: Term, denominator: str = "sets") -> Term:
    """A teacher's term averaged over the samples that are selected for the teacher.

    Weight rules keep their scale: the mean is over the selection, not over the weights.
    With the denominator "batch" it is the term itself, which has the weights already.
    """
    if denominator == "batch":
        return term

    def values(inputs):
        s, selection = inputs.supervision, inputs.selection
        total = jnp.sum(selection)
        scale = selection.shape[0] / jnp.where(total > 0, total, 1.0)
        s = s._replace(weight=s.weight * scale)
        return term.values(inputs._replace(supervision=s))

    return dataclasses.replace(term, values=values)


def label_unselected(coefficient: float | Schedule, denominator: str = "sets") -> Term:
    """Cross entropy averaged over the samples that are not selected for the teacher.

    values = (1 - selection) CE * batch / sum(1 - selection); 0 where there are none.
    With the denominator "batch", values = (1 - selection) CE.
    """

    def values(inputs):
        loss = losses.cross_entropy(inputs.student.logits, inputs.labels)
        return normalise_weights(1.0 - inputs.selection, denominator) * loss

    return Term("label_unselected", coefficient, values)


def with_label_fallback(method: Method, denominator: str = DENOMINATOR) -> Method:
    """The same method on the selected samples, cross entropy on the others.

    What data selection makes of any method with a teacher (Lan et al., arXiv:
    2404.03693). The labels of selected samples are used as far as the method uses
    labels. With B samples in a batch and the set D of the selected ones,

        "sets":   L = mean_{not D} CE + mean_D (method)
        "batch":  L = (1 / B) [sum_{not D} CE + sum_D (method)]

    With "batch" every sample counts once. With "sets" a fifth of the samples, where
    four fifths are selected, has half of the weight; a mean over no sample is 0. What
    could be read of the paper says which samples have which supervision, and nothing of
    a denominator.

    A method that has a fallback of its own comes back as it is.

    Raises:
      ValueError: another denominator.

    >>> from kdjax.methods import kd
    >>> method = with_label_fallback(kd.build(alpha=1.0, temperature=4.0), "batch")
    >>> [term.name for term in method.terms]
    ['label_unselected', 'soft_logits']
    """
    check_denominator("with_label_fallback", denominator)
    if method.has_label_fallback:
        return method
    own = tuple(
        (on_supervised if term.weighted else on_selected)(term, denominator)
        for term in method.terms
    )
    terms = (label_unselected(1.0, denominator), *own)
    return dataclasses.replace(method, terms=terms, has_label_fallback=True)
