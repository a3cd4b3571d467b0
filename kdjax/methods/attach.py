"""A method's rules on another one: `config.method.supervisor` puts them together.

The papers' claim is that logits adjustment (LA), dynamic temperature (DTD) and label
revision (LR) attach to other methods. Here any method with a supervisor attaches to any
host; so does logit standardisation.

    host compares with the teacher's logits: its loss, by the attached supervision
    host compares features or relations:     its loss, plus that of the attached method

Dynamic temperatures replace the host's. Rules on targets, such as label revision and
smoothed labels, become logits where the host splits or compares logits: t' = tau log p.
"""

import dataclasses

import jax.numpy as jnp

from kdjax.losses.correlation import standardise
from kdjax.methods.base import Method, Term
from kdjax.methods.terms import soft_target
from kdjax.supervision.pipeline import Supervisor

STANDARDISE = "standardise"
LABELS = "hard_label"  # a host keeps its own
_SMALLEST = 1e-30  # of a probability whose logarithm stands for a logit


def attach(host: Method, rules: Method, weight: float = 1.0) -> Method:
    """The host under the supervisor of `rules`, another method.

    Args:
      weight: of the terms of `rules` where the host has no supervisor of its own.

    Raises:
      ValueError: `rules` has no supervisor, or the pair has no meaning: the host looks
        at no teacher, or has no temperature where the rules give one and nothing else.
    """
    supervisor = rules.supervisor
    if supervisor is None:
        raise ValueError(
            "supervisor: the method attached has none, such as ka_ps, dtd_flsw, dtd_la "
            "or lr_kl; expected one of these, or standardise."
        )
    _check_host(host)
    if host.supervisor is None:
        own = tuple(
            dataclasses.replace(term, coefficient=_scaled(term.coefficient, weight))
            for term in rules.terms
            if term.name != LABELS
        )
        return dataclasses.replace(
            host,
            terms=(*host.terms, *own),
            supervisor=supervisor,
            needs=(*host.needs, *rules.needs),
        )
    transform = supervisor.transform + host.supervisor.transform
    supervisor = dataclasses.replace(supervisor, transform=transform)
    if host.supervisor.temperature is None:
        return _without_temperature(host, supervisor)
    terms = host.terms
    if supervisor.target:
        terms = tuple(map(_of_target, terms))
    return dataclasses.replace(host, terms=terms, supervisor=supervisor)


def standardised(host: Method) -> Method:
    """The host on standardised logits of both networks (arXiv:2403.01427).

    Raises:
      ValueError: it compares no logits with the teacher's.
    """
    _check_host(host)
    if host.supervisor is None:
        raise ValueError(
            f"supervisor: {STANDARDISE} acts on logits, and this method compares none; "
            "expected another supervisor, which may be standardised itself."
        )
    transform = (standardise, *host.supervisor.transform)
    supervisor = dataclasses.replace(host.supervisor, transform=transform)
    return dataclasses.replace(host, supervisor=supervisor)


def _check_host(host: Method) -> None:
    if not host.needs_teacher:
        raise ValueError(
            "supervisor: this method looks at no teacher; expected one that does."
        )
    if host.second_view:
        raise ValueError(
            "supervisor: this method compares two views of a sample, and rules are for "
            "one; expected none."
        )


def _without_temperature(host: Method, supervisor: Supervisor) -> Method:
    """Rules on logits and weights alone, for a host that softens nothing."""
    if supervisor.target or not (supervisor.logits or supervisor.weight):
        raise ValueError(
            "supervisor: this method has no temperature, and the rules are on softened "
            "targets or on the temperature; expected rules on logits or weights, such "
            "as ka_ps."
        )
    supervisor = dataclasses.replace(supervisor, temperature=None)
    return dataclasses.replace(host, supervisor=supervisor)


def _of_target(term: Term) -> Term:
    """The term with the revised target in place of the teacher's logits."""
    if term.name == LABELS:
        return term
    if term.name == "soft_logits":  # the same loss, with the target's own digits
        return soft_target(term.coefficient)

    def values(inputs):
        s = inputs.supervision
        target = jnp.maximum(s.target, _SMALLEST)
        logits = s.temperature[:, None] * jnp.log(target)
        return term.values(inputs._replace(supervision=s._replace(logits=logits)))

    return dataclasses.replace(term, values=values)


def _scaled(coefficient, weight: float):
    if not callable(coefficient):
        return weight * coefficient
    return lambda step: weight * coefficient(step)
