"""The four stages of supervision: teacher logits -> temperature -> target -> weight.

Stages and not one list of rules, because the order is a matter of fact: an adjustment
acts on logits, a revision on probabilities, and the temperature stands between them.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.numerics import AnyArray, Number, as_float32, one_or_nan, soften
from kdjax.types import SAMPLE_FIELDS, PyTree, Signals, Supervision

LogitsRule = Callable[[Signals], Float[Array, "batch classes"]]
TargetRule = Callable[
    [Float[Array, "batch classes"], Signals], Float[Array, "batch classes"]
]
WeightRule = Callable[[Signals], Float[Array, " batch"]]


class TemperatureRule(NamedTuple):
    """A temperature per sample, with a memory: two pure functions, as in Optax.

    init() gives the first state, a pytree of arrays that is donated and checkpointed
    with the train state; update(state, signals) gives ([batch] temperatures, next
    state). The rule keeps its temperatures above 0: inside jit nothing else can. Where
    it does so by clipping, `lowest` is the floor, and the step logs how often it acts.
    `reads` is as in `reads` below; `constant` is the temperature where it is one number
    for all samples and steps.
    """

    init: Callable[[], PyTree]
    update: Callable[[PyTree, Signals], tuple[Float[Array, " batch"], PyTree]]
    lowest: float = 0.0
    reads: frozenset[str] = SAMPLE_FIELDS
    constant: float | None = None


def reads(*fields: str) -> Callable[[Callable], Callable]:
    """Declares what of a sample a rule looks at: "label", "index", both or nothing.

    Of a rule without it both are assumed. What reads labels cannot train on mixtures
    of images, and what reads the index remembers samples.
    """

    def declare(rule: Callable) -> Callable:
        rule.reads = frozenset(fields)
        return rule

    return declare


def stateless(
    rule: Callable[[Signals], Float[Array, " batch"]], lowest: float = 0.0
) -> TemperatureRule:
    """A temperature rule without a memory."""
    return TemperatureRule(
        init=lambda: (),
        update=lambda state, signals: (rule(signals), state),
        lowest=lowest,
        reads=getattr(rule, "reads", SAMPLE_FIELDS),
    )


def fixed(value: Number) -> TemperatureRule:
    """The same temperature for every sample and step.

    Infinity makes the target uniform; the loss there is `losses.logit_matching`.
    """
    contracts.shapes("fixed", temperature=(value, ""))
    contracts.positive("fixed", "temperature", value, infinity=True)

    @reads()
    def rule(signals: Signals) -> Array:
        return jnp.full(signals.labels.shape, value, jnp.float32)

    return stateless(rule)._replace(constant=value)


def scheduled(schedule: Callable[[Array], Array]) -> TemperatureRule:
    """A temperature that follows the step, the same for every sample.

    Args:
      schedule: step -> scalar temperature > 0, such as an Optax schedule.

    Raises:
      ValueError: outside jit, the schedule gives a temperature that is not above 0; it
        gives another shape than a scalar. Inside jit such a temperature becomes NaN,
        for a KL at tau = -1 is finite and would train unnoticed.

    >>> cooling = scheduled(lambda step: 8.0 * 0.5 ** (step / 100))
    """

    @reads()
    def rule(signals: Signals) -> Array:
        value = schedule(signals.step)
        contracts.shapes("scheduled", temperature=(value, ""))
        contracts.positive("scheduled", "temperature", value, infinity=True)
        value = as_float32(value)
        value = value * one_or_nan(value > 0)
        return jnp.broadcast_to(value, signals.labels.shape)

    return stateless(rule)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervisor:
    """The rules of each stage, applied from left to right.

    Attributes:
      temperature: the one temperature rule; it sees the adjusted logits. None where the
        method has no temperature, and then no target.
      transform: logits -> logits, such as `standardise`: of the student and the teacher
        alike, before all rules; the loss is of the transformed logits of both.
      logits: Signals -> teacher logits; a later rule sees what the earlier one
        returned.
      target: (target, Signals) -> target; in and out softened probabilities.
      weight: Signals -> [batch] factors, multiplied onto `signals.selection`.
    """

    temperature: TemperatureRule | None = None
    transform: tuple[Callable[[Array], Array], ...] = ()
    logits: tuple[LogitsRule, ...] = ()
    target: tuple[TargetRule, ...] = ()
    weight: tuple[WeightRule, ...] = ()

    def __post_init__(self):
        if self.temperature is None and self.target:
            raise ValueError(
                "Supervisor: it has rules on targets and no temperature; expected one, "
                "such as fixed(1.0), with which the target is softened."
            )

    @property
    def reads(self) -> frozenset[str]:
        """What of a sample its rules look at."""
        temperature = () if self.temperature is None else (self.temperature,)
        rules = (*temperature, *self.logits, *self.target, *self.weight)
        return frozenset().union(*(getattr(r, "reads", SAMPLE_FIELDS) for r in rules))

    def transformed(self, logits: AnyArray) -> AnyArray:
        """The logits of one side after every `transform`."""
        for change in self.transform:
            logits = change(logits)
        return logits


def supervise(
    rules: Supervisor, state: PyTree, signals: Signals
) -> tuple[Supervision, PyTree]:
    """(Supervision, next state) by the four stages, in float32.

        s, t = transform(s), transform(t)
        t' = logits rules(t),  tau = temperature(t'),  p = target rules(softmax(t' /
        tau)), w = selection * product of weight rules

    At an infinite temperature the target is uniform; without one it is None. With a
    transform `student_logits` is s, which keeps its gradient; all else is constant to
    the gradient.

    Args:
      rules: the stages.
      state: of the temperature rule; `rules.temperature.init()` before the first step.
      signals: of any float precision; see `kdjax.supervision.signals`.

    Raises:
      ValueError: signals disagree in shape, or a rule returns another shape than its
        stage's; the message names the rule.
    """
    _check(signals)
    student = rules.transformed(as_float32(signals.student_logits))
    signals = jax.lax.stop_gradient(  # the only one in these rooms
        signals._replace(
            student_logits=student,
            teacher_logits=rules.transformed(as_float32(signals.teacher_logits)),
            labels=_array(signals.labels),
            index=_array(signals.index),
            selection=as_float32(signals.selection),
            members=_members(rules, signals.members),
        )
    )
    for i, adjust in enumerate(rules.logits):
        adjusted = _output(f"logits[{i}]", adjust(signals), signals.teacher_logits)
        signals = signals._replace(teacher_logits=adjusted)
    temperature = target = None
    if rules.temperature is not None:
        temperature, state = rules.temperature.update(state, signals)
        temperature = _output("temperature", temperature, signals.selection)
        target = jax.nn.softmax(soften(signals.teacher_logits, temperature[:, None]))
    for i, revise in enumerate(rules.target):
        target = _output(f"target[{i}]", revise(target, signals), target)
    weight = signals.selection
    for i, weigh in enumerate(rules.weight):
        weight = weight * _output(f"weight[{i}]", weigh(signals), weight)
    student = student if rules.transform else None
    logits = signals.teacher_logits
    return Supervision(logits, target, temperature, weight, student), state


def _check(signals: Signals) -> None:
    contracts.shapes(
        "supervise",
        student_logits=(signals.student_logits, "batch classes"),
        teacher_logits=(signals.teacher_logits, "batch classes"),
        labels=(signals.labels, "batch"),
        index=(signals.index, "batch"),
        selection=(signals.selection, "batch"),
        step=(signals.step, ""),
    )
    contracts.integers(
        "supervise", labels=signals.labels, index=signals.index, step=signals.step
    )
    if signals.members is not None:
        contracts.shapes(
            "supervise",
            teacher_logits=(signals.teacher_logits, "batch classes"),
            members=(signals.members, "batch teachers classes"),
        )


def _array(values) -> AnyArray:
    return values if hasattr(values, "shape") else np.asarray(values)


def _members(rules: Supervisor, members: AnyArray | None) -> Array | None:
    """Each teacher's own logits, transformed as if it were the only one."""
    if members is None:
        return None
    members = as_float32(members)
    rows = rules.transformed(members.reshape(-1, members.shape[-1]))
    return rows.reshape(members.shape)


def _output(rule: str, value: Array, like: Array) -> Array:
    """A rule's output as float32; ValueError if it has another shape than `like`."""
    if jnp.shape(value) != like.shape:
        raise ValueError(
            f"supervise: the rule {rule} returned shape {jnp.shape(value)}; "
            f"expected {like.shape}."
        )
    return as_float32(value)
