"""Every supervision rule, by numbers and signals of any shape, type and value."""

import inspect

import jax
import numpy as np
import pytest

from kdjax import supervision as sv
from kdjax.types import Signals
from tests.faults import draws, fuzz

CASES, RIGHT = 40, 30
NAMES = [
    name
    for name in sv.__all__
    if inspect.isfunction(getattr(sv, name))
    # What all go through, and what label_revision has.
    and name not in ("supervise", "signals", "revision_weight")
]
# Not numbers, and not changed: what is a rule is one.
KEPT = ("signals", "rule", "rules", "supervisor", "state", "schedule", "fields")
KEPT += ("target",)
RULE = sv.fixed(2.0)
SPECIAL = {
    "signals": lambda drawn: signals(drawn),
    "rule": lambda drawn: RULE,
    "rules": lambda drawn: sv.Supervisor(temperature=RULE),
    "supervisor": lambda drawn: sv.Supervisor(temperature=RULE),
    "state": lambda drawn: (),
    "schedule": lambda drawn: lambda step: 4.0,
    "num_examples": lambda drawn: 50,
    "base": lambda drawn: 4.0,
    "scale": lambda drawn: "log_classes",
    "eta": lambda drawn: 0.75,
    "fields": lambda drawn: ("label",),
}
OF_FUNCTION = {
    "where_wrong": {"rule": lambda drawn: sv.smoothed_label(0.1)},
    "stateless": {"rule": lambda drawn: lambda signals: signals.selection},
}
# What has failed once.
FAILED = {"label_revision": [draws.Plan(0, 0, [draws.Change(1, 0, 45)])]}  # softened


def signals(drawn) -> Signals:
    batch, classes = 2, 3
    logits = [drawn.floats("logits", (batch, classes)) for _ in range(2)]
    labels = drawn.random.integers(0, classes, batch).astype(np.int32)
    index = drawn.random.integers(0, 50, batch).astype(np.int32)
    members = drawn.floats("logits", (batch, 2, classes))
    selection = np.ones(batch, np.float32)
    return Signals(*logits, labels, index, selection, np.int32(0), members)


def applied(name, rule, given: Signals):
    """What the stage of a rule gives; rules are called by `supervise` alone."""
    if isinstance(rule, sv.TemperatureRule):
        return sv.supervise(sv.Supervisor(temperature=rule), rule.init(), given)
    if isinstance(rule, sv.Supervisor):
        return sv.supervise(rule, rule.temperature.init(), given)
    many = len(inspect.signature(rule).parameters) == 2
    stage = "weight" if name == "by_entropy" else "target" if many else "logits"
    rules = sv.Supervisor(temperature=RULE, **{stage: (rule,)})
    return sv.supervise(rules, (), given)


def changed(drawn, given: Signals, changes) -> Signals:
    """The same signals with some fields of another kind."""
    for change in changes:
        name = Signals._fields[change.argument % len(Signals._fields)]
        new = drawn.changed(getattr(given, name), change)
        given = given._replace(**{name: new})
    return given


def made(name, plan):
    """(the rule that a function is, or makes of changed numbers; the draws)."""
    function = getattr(sv, name)
    special = SPECIAL | OF_FUNCTION.get(name, {})
    numbers = set(inspect.signature(function).parameters) - set(KEPT)
    changes = plan.changes if numbers else []
    given, variadic, drawn = draws.call_of(function, plan._replace(changes=[]), special)
    for change in changes:
        which = sorted(numbers)[change.argument % len(numbers)]
        given[which] = draws.WRONG[change.detail % len(draws.WRONG)]
    if "signals" in given:
        return function, drawn
    if name == "reads":
        return sv.reads("label")(lambda signals: signals.teacher_logits), drawn
    return function(**given), drawn


@fuzz.times
@pytest.mark.parametrize("name", NAMES)
def test_any_numbers_and_signals(name, times):
    def one(plan):
        try:
            rule, drawn = made(name, plan._replace(changes=plan.changes[:1]))
            given = changed(drawn, signals(drawn), plan.changes[1:])
            jax.eval_shape(lambda: applied(name, rule, given))
        except Exception as error:
            fuzz.check_error(error)

    fuzz.run(one, CASES * times, examples=FAILED.get(name, ()))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_any_type(name):
    function, plan = getattr(sv, name), draws.Plan(0, 0, [])
    special = SPECIAL | OF_FUNCTION.get(name, {})
    with fuzz.as_for_users():
        for number in set(draws.numbers_of(function)) - set(KEPT):
            for value in draws.NUMBER_TYPES:
                given, _, drawn = draws.call_of(function, plan, special)
                try:
                    rule = function(**given | {number: value})
                    jax.eval_shape(lambda: applied(name, rule, signals(drawn)))  # noqa: B023
                except Exception as error:
                    fuzz.check_error(error)


@fuzz.times
@pytest.mark.parametrize("name", NAMES)
def test_finite_signals_give_finite_supervision(name, times):
    rule, drawn = made(name, draws.Plan(0, 0, []))
    run = jax.jit(lambda given: applied(name, rule, given))

    def one(plan):
        drawn.random = np.random.default_rng(plan.seed)
        for leaf in fuzz.floats_of(run(signals(drawn))):
            assert np.isfinite(leaf).all()

    fuzz.run(one, RIGHT * times)
