import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS
from kdjax.methods.attach import attach
from kdjax.types import LossInputs
from tests.methods.field import losses_of, method_of, problem_of
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    LABELS,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    labels_only,
    mean_kl,
    value_of,
)

STEPS = 4.0


def objective(student, p, alpha=0.9, rows=range(BATCH)):
    tau = 1 + 20 / (1 + math.exp(-p))
    soft = mean_kl(student, TEACHER, tau, rows) * len(rows) / BATCH
    return (1 - alpha) * labels_only(student) + alpha * tau**2 * soft


def build(**changes):
    return METHODS["ctkd"].build(steps_per_epoch=STEPS, **changes)


def with_p(p):
    return {"connected": {"temperature": jnp.float32(p)}}


@pytest.mark.parametrize("p", [1.0, -4.0])
def test_the_objective_is_the_papers(p):
    method = build()
    given = {"declared": with_p(p)}
    check(method, objective(STUDENT, p), lambda s: objective(s, p), **given)
    value = value_of(method, selection=SELECTION, **given)
    np.testing.assert_allclose(value, objective(STUDENT, p, rows=CHOSEN), rtol=1e-5)
    check(build(alpha=1.0), objective(STUDENT, p, alpha=1.0), **given)
    assert method.reads == {"label"} and method.supervisor.temperature is None
    assert build(alpha=1.0).reads == set() and not method.why_not_cached


@pytest.mark.parametrize("step", [0, 3, 4, 21, 39, 40, 1000])
def test_the_gradient_of_the_temperature_is_reversed_by_degrees(step):
    epoch = min(step // 4 + 1, 10)
    coefficient = 0.5 * (math.cos(math.pi * epoch / 10) + 1) - 1  # from 0 to -1
    slope = jax.grad(lambda p: value_of(build(), step=step, declared=with_p(p)))(1.0)
    true = (objective(STUDENT, 1 + 1e-4) - objective(STUDENT, 1 - 1e-4)) / 2e-4
    np.testing.assert_allclose(slope, coefficient * true, rtol=1e-3)


def test_training_moves_it_up_the_loss():
    problem = problem_of(method_of("ctkd", reverse_epochs=1.0))
    states, _ = losses_of(problem, problem.initialise(), 0, 5)
    connectors = jax.device_get(states["student"].connectors)
    p = connectors["temperature"]["params"]["value"]
    assert p != 1.0
    _, metrics = problem.run(states, 5, 6)
    tau = 1 + 20 / (1 + math.exp(-p))  # of the step as it begins
    logged = metrics["student"]["temperature/mean"]
    np.testing.assert_allclose(logged, tau, rtol=1e-5)


def test_attached_to_another_method_it_logs_the_temperature_too():
    given = with_p(-4.0)["connected"]
    inputs = LossInputs(None, None, LABELS, None, connected=given)
    tau = 1 + 20 / (1 + math.exp(4))
    host = METHODS["sp"].build()
    report = attach(host, build()).report(inputs)
    assert report == {"temperature/mean": pytest.approx(tau, rel=1e-6)}
    host = dataclasses.replace(host, report=lambda inputs: {"own": inputs.labels[0]})
    report = attach(host, build()).report(inputs)
    assert set(report) == {"own", "temperature/mean"} and report["own"] == LABELS[0]
    plain = METHODS["ka_ps"].build()
    assert attach(METHODS["sp"].build(), plain).report is None


@pytest.mark.parametrize("argument", ["alpha", "lowest", "span", "reverse_epochs"])
def test_numbers_are_above_zero(argument):
    with pytest.raises(ValueError, match=f"ctkd: {argument} is 0"):
        build(**{argument: 0.0})
