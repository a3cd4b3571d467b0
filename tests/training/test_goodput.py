"""Where the time of a run goes, over all of its starts."""

import time
import types

import jax
import jax.numpy as jnp
import pytest

from kdjax.training import goodput
from kdjax.training.goodput import LOSSES, TOTAL, Goodput


@pytest.fixture
def clock(monkeypatch):
    now = types.SimpleNamespace(seconds=0.0)
    stopped = types.SimpleNamespace(monotonic=lambda: now.seconds)
    monkeypatch.setattr(goodput, "time", stopped)
    spans = goodput._compilations()  # of this process; its own are on the real clock
    real = list(spans)
    spans.clear()
    yield now
    spans[:] = real


def row(step, **seconds):
    return {"step": step, "time": dict.fromkeys((TOTAL, *LOSSES), 0.0) | seconds}


def test_earlier_starts_count_and_what_they_lost_is_a_restart(clock):
    rows = [
        row(10, total=50.0, saving=4.0),
        row(20, total=90.0, saving=7.0, restarts=1.0),
        {"step": 25},  # of a version that did not log the time
        row(30, total=130.0, saving=9.0, restarts=1.0),
    ]
    spent = Goodput()
    spent.resume(rows, start=20)
    clock.seconds = 5.0
    spent.begin_steps()
    clock.seconds = 10.0
    found = spent.seconds()
    # The 40 seconds after step 20 have been spent, but not on what is kept.
    assert (found["total"], found["restarts"]) == (140.0, 41.0)
    assert (found["saving"], found["startup"]) == (7.0, 5.0)
    summary = spent.summary()
    assert summary["goodput_percent"] == pytest.approx(100 * (1 - 53 / 140))
    assert sum(summary["lost_seconds"].values()) == 53.0


@pytest.mark.parametrize("rows", ([], [{"step": 4}]))
def test_a_run_without_such_rows_begins_at_nothing(clock, rows):
    spent = Goodput()
    spent.resume(rows, start=4)
    assert set(spent.seconds().values()) == {0.0}


def test_all_is_lost_where_nothing_was_saved(clock):
    spent = Goodput()
    spent.resume([row(10, total=50.0, saving=4.0)], start=0)
    assert spent.seconds() == row(0, total=50.0, restarts=50.0)["time"]


def test_compilation_is_counted_once_and_not_as_what_it_is_done_for():
    inner = jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))

    @jax.jit
    def outer(x):
        time.sleep(0.2)  # while it is traced
        return inner(x) + jnp.where(x > 0, x, 0)

    x = jnp.ones((50, 50))
    spent, begun = Goodput(), time.monotonic()
    with spent.spending("evaluation"):
        jax.block_until_ready(outer(x))
        time.sleep(0.1)
    seconds, whole = spent.seconds(), time.monotonic() - begun
    assert 0.2 <= seconds["compilation"] <= whole - 0.1
    assert 0.1 <= seconds["evaluation"] <= whole - seconds["compilation"] + 0.01
    compiled = seconds["compilation"]
    with spent.spending("saving"):
        jax.block_until_ready(outer(x))
    assert spent.seconds()["compilation"] == compiled


def test_a_function_that_is_traced_within_another_is_not_counted_twice(clock):
    clock.seconds = 100.0
    spent = Goodput()
    for end, seconds in ((110.0, 2.0), (111.0, 1.0), (112.0, 12.0), (120.0, 5.0)):
        clock.seconds = end
        jax.monitoring.record_event_duration_secs(
            "/jax/core/compile/jaxpr_trace_duration", seconds
        )
    jax.monitoring.record_event_duration_secs("/jax/other", 99.0)
    assert spent.seconds()["compilation"] == 17.0
