"""When the loop saves between evaluations, and what is lost to goodput."""

import types

import pytest

from kdjax.training import goodput, loop
from kdjax.training.loop import run
from kdjax.training.plan import Plan
from tests.training.loops import Recorder, drive


def saves(events):
    return [event[1:] for event in events if event[0] == "save"]


def test_states_are_saved_between_evaluations_without_metrics():
    plan = Plan(total_steps=10, log_every=4, evaluate_every=6.0, save_every=3)
    _, events = drive(plan)
    assert saves(events) == [(3, False), (6, True), (9, False), (10, True)]
    assert [e[1] for e in events if e[0] == "evaluation"] == [6, 10]


def test_states_are_saved_by_the_clock_where_rows_are_logged(clock):
    """A second a step: 5 of them, from the last save of any kind, and on to a row."""
    every = {"log_every": 3, "evaluate_every": 14.0, "save_minutes": 5 / 60}
    _, events = drive(Plan(total_steps=27, **every), at_step=clock)
    assert saves(events) == [
        (6, False),
        (12, False),
        (14, True),
        (21, False),
        (27, True),
    ]


@pytest.mark.parametrize("agreed", (True, False))
def test_the_first_process_says_when_the_clock_saves(clock, agreed):
    """Else the others would wait for it in the save, or it for them."""
    own = []

    def agree(due):
        own.append(due)
        return agreed

    every = {"log_every": 2, "evaluate_every": 9.0, "save_minutes": 3 / 60}
    _, events = drive(Plan(total_steps=8, **every), at_step=clock, agree=agree)
    between = [(2, False), (4, False), (6, False)] if agreed else []
    assert saves(events) == [*between, (8, True)]
    assert own == ([False] * 3 if agreed else [False, True, True])


class Slow:
    """A second for the rows, a second for the step."""

    def ready(self, number, most):
        loop.time.tick()
        return 1, None

    def run(self, states, number, count, rows):
        loop.time.tick()
        return states, {"s": {"loss": 0.0, "skipped": 0.0}}


def test_evaluating_saving_and_waiting_for_input_are_lost_to_goodput(
    clock, monkeypatch
):
    def evaluate(states):
        clock(0)
        return {"s": {"top1": 0.0}}

    recorder, spent = Recorder(), goodput.Goodput()
    monkeypatch.setattr(recorder, "save", lambda *_: [clock(0), clock(0)])
    monkeypatch.setattr(recorder, "wait", lambda: [clock(0) for _ in range(3)])
    keep = {"checkpointer": recorder, "reporter": recorder, "images_per_step": 4}
    keep |= {"start": 0, "steps": Slow(), "evaluate": evaluate, "goodput": spent}
    run(Plan(total_steps=4, log_every=9, evaluate_every=2.0), 0, **keep)
    wanted = {"input": 4.0, "evaluation": 2.0, "saving": 7.0, "total": 17.0}
    assert {name: spent.seconds()[name] for name in wanted} == wanted
    row = spent.summary()
    assert row["goodput_percent"] == pytest.approx(100 * 4 / 17)
    assert goodput.sentence(row).startswith(
        "goodput 23.5 % of 17.0 s; lost: saving 41.2 %, "
    )


@pytest.mark.parametrize("busy", (True, False))
def test_input_is_lost_only_where_the_devices_had_nothing_to_do(clock, busy):
    spent = goodput.Goodput()
    window = loop._Window(4, lambda share: [share], spent)
    running = types.SimpleNamespace(is_ready=lambda: not busy)
    window.pending = [(1, types.SimpleNamespace(is_ready=lambda: True)), (1, running)]
    window.input(Slow(), 0, 1)
    assert window.waited == 1.0
    assert spent.seconds()["input"] == (0.0 if busy else 1.0)
