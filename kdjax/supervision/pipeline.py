"""The four stages of supervision: teacher logits -> temperature -> target -> weight.

Stages and not one list of rules, because the order is a matter of fact: an adjustment
acts on logits, a revision on probabilities, and the temperature stands between them.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.numerics import as_float32, soften
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
    `reads` is as in `reads` below.
    """

    init: Callable[[], PyTree]
    update: Callable[[PyTree, Signals], tuple[Float[Array, " batch"], PyTree]]
    lowest: float = 0.0
    reads: frozenset[str] = SAMPLE_FIELDS


def reads(*fields: str) -> Callable[[Callable], Callable]:
    """Declares what of a sample a rule looks at: "label", "index", both or nothing.

    Of a rule without it both are assumed. What reads labels cannot train on mixtures
    of images, and what reads the index remembers samples.

    >>> @reads("label")
    ... def rule(target, signals):
    ...     return jax.nn.one_hot(signals.labels, target.shape[-1])
    >>> rule.reads
    frozenset({'label'})
    """

    def declare(rule: Callable) -> Callable:
        rule.reads = frozenset(fields)
        return rule

    return declare


def stateless(
    rule: Callable[[Signals], Float[Array, " batch"]], lowest: float = 0.0
) -> TemperatureRule:
    """A temperature rule without a memory.

    >>> warm = stateless(lambda signals: 1.0 + signals.selection)
    >>> warm.init()
    ()
    """
    return TemperatureRule(
        init=lambda: (),
        update=lambda state, signals: (rule(signals), state),
        lowest=lowest,
        reads=getattr(rule, "reads", SAMPLE_FIELDS),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervisor:
    """The rules of each stage, applied from left to right.

    Attributes:
      temperature: the one temperature rule; it sees the adjusted logits.
      logits: Signals -> teacher logits; a later rule sees what the earlier one
        returned.
      target: (target, Signals) -> target; in and out softened probabilities.
      weight: Signals -> [batch] factors, multiplied onto `signals.selection`.
    """

    temperature: TemperatureRule
    logits: tuple[LogitsRule, ...] = ()
    target: tuple[TargetRule, ...] = ()
    weight: tuple[WeightRule, ...] = ()

    @property
    def reads(self) -> frozenset[str]:
        """What of a sample its rules look at."""
        rules = (self.temperature, *self.logits, *self.target, *self.weight)
        return frozenset().union(*(getattr(r, "reads", SAMPLE_FIELDS) for r in rules))


def supervise(
    rules: Supervisor, state: PyTree, signals: Signals
) -> tuple[Supervision, PyTree]:
    """Runs the four stages in float32 and stops every gradient.

        t' = logits rules(t),  tau = temperature(t'),  p = target rules(softmax(t' /
        tau)), w = selection * product of weight rules

    At an infinite temperature the target is uniform.

    Args:
      rules: the stages.
      state: of the temperature rule; `rules.temperature.init()` before the first step.
      signals: any float precision.

    Returns:
      (Supervision, next state).

    Raises:
      ValueError: signals disagree in shape, or a rule returns another shape than its
        stage's; the message names the rule.

    >>> import numpy as np
    >>> from kdjax.supervision import fixed
    >>> signals = Signals(
    ...     student_logits=np.zeros((1, 2), np.float32),
    ...     teacher_logits=np.float32([[0, 4]]),
    ...     labels=np.array([1]), index=np.array([0]),
    ...     selection=np.float32([1]), step=np.array(0),
    ... )
    >>> supervision, state = supervise(Supervisor(temperature=fixed(4)), (), signals)
    >>> print(np.float64(supervision.target).round(4), supervision.temperature)
    [[0.2689 0.7311]] [4.]
    """
    contracts.shapes(
        "supervise",
        student_logits=(signals.student_logits, "batch classes"),
        teacher_logits=(signals.teacher_logits, "batch classes"),
        labels=(signals.labels, "batch"),
        index=(signals.index, "batch"),
        selection=(signals.selection, "batch"),
        step=(signals.step, ""),
    )
    signals = jax.lax.stop_gradient(  # the only one in these rooms
        signals._replace(
            student_logits=as_float32(signals.student_logits),
            teacher_logits=as_float32(signals.teacher_logits),
            selection=as_float32(signals.selection),
            members=None if signals.members is None else as_float32(signals.members),
        )
    )
    for i, adjust in enumerate(rules.logits):
        adjusted = _output(f"logits[{i}]", adjust(signals), signals.teacher_logits)
        signals = signals._replace(teacher_logits=adjusted)
    temperature, state = rules.temperature.update(state, signals)
    temperature = _output("temperature", temperature, signals.selection)
    target = jax.nn.softmax(soften(signals.teacher_logits, temperature[:, None]))
    for i, revise in enumerate(rules.target):
        target = _output(f"target[{i}]", revise(target, signals), target)
    weight = signals.selection
    for i, weigh in enumerate(rules.weight):
        weight = weight * _output(f"weight[{i}]", weigh(signals), weight)
    return Supervision(signals.teacher_logits, target, temperature, weight), state


def _output(rule: str, value: Array, like: Array) -> Array:
    """A rule's output as float32; ValueError if it has another shape than `like`."""
    if jnp.shape(value) != like.shape:
        raise ValueError(
            f"supervise: the rule {rule} returned shape {jnp.shape(value)}; "
            f"expected {like.shape}."
        )
    return as_float32(value)
