"""A method's rules on another one: `config.method.supervisor` puts them together.

The papers' claim is that logits adjustment (LA), dynamic temperature (DTD) and label
revision (LR) attach to other methods. Here any method with a supervisor attaches to any
host with a teacher; so does logit standardisation.

    host compares with the teacher's logits: its loss, by the rules of both
    host compares features or relations:     its loss, plus that of the attached method

Rules on logits and weights come after the host's own. Rules on targets, such as label
revision and smoothed labels, become the logits t' = tau log p + tau log sum exp(t /
tau), so that a host may split them; where they change nothing t' is t, also for hosts
that compare columns. The temperature is that of the attached method, except that a
dynamic one of the host stays where the attached one is the same number for all samples.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from kdjax.losses.correlation import standardise
from kdjax.methods.base import Method, Term
from kdjax.supervision.pipeline import Supervisor, TargetRule, TemperatureRule

LABELS = "hard_label"  # a host keeps its own
_SMALLEST = 1e-30  # of a probability whose logarithm stands for a logit
_EXAMPLES = "such as ka_ps, dtd_flsw, dtd_la, lr_kl, ea_kd or standardise"


def attach(host: Method, rules: Method, weight: float = 1.0) -> Method:
    """The host under the supervisor of `rules`, another method.

    Of `rules` only the supervisor counts where the host has one too, else its terms
    without the cross entropy with the labels. Weights of the host's terms stay.

    Args:
      weight: of the terms of `rules` where the host has no supervisor of its own.

    Raises:
      ValueError: the pair has no meaning; the message says why.
    """
    _check_host(host)
    _check_rules(rules)
    if host.supervisor is None:
        return _beside(host, rules, weight)
    if weight != 1.0:
        raise ValueError(
            f"supervisor: weight is {weight:g}; this method compares logits by itself "
            "and its own weights count. Expected none."
        )
    supervisor = _together(host.supervisor, rules.supervisor)
    terms = tuple(map(_of_target, host.terms)) if supervisor.target else host.terms
    needs = tuple(dict.fromkeys(host.needs + rules.needs))
    return dataclasses.replace(host, terms=terms, supervisor=supervisor, needs=needs)


def standardised(host: Method) -> Method:
    """The host on standardised logits of both networks (arXiv:2403.01427).

    Raises:
      ValueError: it compares no logits with the teacher's.
    """
    _check_host(host)
    if host.supervisor is None:
        raise ValueError(
            "supervisor: standardise acts on logits, and this method compares none; "
            "expected another supervisor, which may be standardised itself, or lskd."
        )
    transform = (standardise, *host.supervisor.transform)
    supervisor = dataclasses.replace(host.supervisor, transform=transform)
    return dataclasses.replace(host, supervisor=supervisor)


def shared_arguments(host: Method) -> dict[str, float]:
    """Arguments of the attached method that are the host's where none are given.

    That is the temperature, where it is one number: an attached rule on logits leaves
    the host's as it is.
    """
    rule = host.supervisor and host.supervisor.temperature
    if not rule or rule.constant is None:
        return {}
    return {"temperature": rule.constant}


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


def _check_rules(rules: Method) -> None:
    if rules.supervisor is None:
        raise ValueError(
            f"supervisor: the method attached has none; expected one, {_EXAMPLES}."
        )
    if rules.has_label_fallback:
        raise ValueError(
            "supervisor: the method attached chooses between teacher and label by "
            f"sample; expected rules, {_EXAMPLES}. A selection of samples acts on any "
            "method as it is."
        )
    if rules.second_view:
        raise ValueError(
            "supervisor: the method attached compares two views of a sample; expected "
            f"rules, {_EXAMPLES}."
        )


def _beside(host: Method, rules: Method, weight: float) -> Method:
    """Both losses, added."""
    if host.memory is not None and rules.memory is not None:
        raise ValueError(
            "supervisor: both methods have a memory; expected one that has."
        )
    own = tuple(
        dataclasses.replace(term, coefficient=_scaled(term.coefficient, weight))
        for term in rules.terms
        if term.name != LABELS
    )
    return dataclasses.replace(
        host,
        terms=host.terms + own,
        supervisor=rules.supervisor,
        memory=rules.memory if host.memory is None else host.memory,
        connectors={**host.connectors, **rules.connectors},
        needs=tuple(dict.fromkeys(host.needs + rules.needs)),
        student_features=host.student_features + rules.student_features,
        teacher_features=host.teacher_features + rules.teacher_features,
        report=_reported([m.report for m in (host, rules) if m.report is not None]),
    )


def _reported(reports: list[Callable]) -> Callable | None:
    """What all of them log."""
    if not reports:
        return None
    return lambda given: {k: v for each in reports for k, v in each(given).items()}


def _together(host: Supervisor, rules: Supervisor) -> Supervisor:
    """The rules of both; the host's come first."""
    if host.target:
        raise ValueError(
            "supervisor: this method revises its targets itself; expected one that "
            "compares with the teacher's logits, such as kd. Of ka_ps, dtd_flsw, "
            "dtd_cwsm and dtd_la, `eta` adds label revision."
        )
    temperature = rules.temperature
    dynamic = temperature is not None and temperature.constant is None
    if not (dynamic or _changes_more(rules)):
        raise ValueError(
            "supervisor: the method attached has no rule, and this method compares "
            f"logits by itself; expected rules, {_EXAMPLES}."
        )
    if host.temperature is None:
        if dynamic or rules.target:
            raise ValueError(
                "supervisor: this method has no temperature that a rule could give, "
                "and the rules are on the temperature or on softened targets; expected "
                "rules on logits or weights, such as ka_ps or ea_kd."
            )
        temperature = None
    elif temperature is None or (not dynamic and host.temperature.constant is None):
        temperature = host.temperature
        _check_targets(rules.target, temperature)
    return Supervisor(
        temperature=temperature,
        transform=rules.transform + host.transform,
        logits=host.logits + rules.logits,
        target=rules.target,
        weight=host.weight + rules.weight,
    )


def _check_targets(rules: tuple[TargetRule, ...], temperature: TemperatureRule) -> None:
    """Refuses rules that are made for another temperature than the host's dynamic one.

    A rule may have `temperature`, the one that it softens at, and `lowest`, below which
    it has no meaning.
    """
    for rule in rules:
        own, lowest = getattr(rule, "temperature", None), getattr(rule, "lowest", 0.0)
        if own is not None:
            raise ValueError(
                f"supervisor: its target is softened at {own:g}, and this method has a "
                "temperature for each sample; expected a rule on logits, such as "
                "ensemble with combine='mean_logits'."
            )
        if 0 < temperature.lowest < lowest:
            raise ValueError(
                f"supervisor: its targets need a temperature of {lowest:g} or more, "
                f"and that of this method may be {temperature.lowest:g}; expected a "
                "higher `lowest`, or lr_kl with softened."
            )


def _changes_more(rules: Supervisor) -> bool:
    return bool(rules.transform or rules.logits or rules.target or rules.weight)


def _of_target(term: Term) -> Term:
    """The term with the revised target in place of the teacher's logits."""

    def values(inputs):
        s = inputs.supervision
        tau, target = s.temperature[:, None], jnp.maximum(s.target, _SMALLEST)
        total = jax.nn.logsumexp(s.logits / tau, axis=-1, keepdims=True)
        logits = tau * (jnp.log(target) + total)
        return term.values(inputs._replace(supervision=s._replace(logits=logits)))

    return dataclasses.replace(term, values=values)


def _scaled(coefficient, weight: float):
    if not callable(coefficient):
        return weight * coefficient
    return lambda step: weight * coefficient(step)
