"""The order of operations, with steps that compute nothing."""

import json
import math
import os
import signal
import threading
import time

import pytest

from kdjax import signals
from kdjax.training.guards import PATIENCE
from kdjax.training.loop import NonFinite, Preempted, run
from kdjax.training.metrics import average
from kdjax.training.plan import Plan
from tests.training.loops import Recorder, drive


def test_train_then_evaluate_then_save():
    plan = Plan(total_steps=5, log_every=2, evaluate_every=3.0)
    states, events = drive(plan)
    assert states == 5
    assert events == [
        ("train", 2, 0.5),
        ("evaluation", 3),
        ("save", 3, True),
        ("train", 4, 2.5),
        ("train", 5, 4.0),
        ("evaluation", 5),
        ("save", 5, True),
        ("wait",),
    ]


@pytest.mark.parametrize("most", (2, 4, 16))
@pytest.mark.parametrize("save_every", (0, 4))
@pytest.mark.parametrize("evaluate_every", (3.0, 2.5, 7 / 3, 0.4, 100.0))
def test_several_steps_at_a_time_tell_and_save_what_single_ones_do(
    most, evaluate_every, save_every
):
    every = {"log_every": 5, "evaluate_every": evaluate_every, "save_every": save_every}
    plan = Plan(total_steps=23, **every)
    skipped = {"bad": (4, 9)}
    assert drive(plan, start=2, most=most, **skipped) == drive(plan, start=2, **skipped)


@pytest.mark.parametrize("most", (1, 4))
def test_it_gives_up_at_the_same_step_however_many_come_at_a_time(most):
    plan = Plan(total_steps=50, log_every=25, evaluate_every=25.0)
    error, _ = drive(plan, bad=range(7, 30), most=most)
    assert isinstance(error, NonFinite) and "steps 8 to 17" in str(error)


def test_the_log_tells_what_the_input_took(clock):
    """A second of ten for the rows, nine for the steps."""
    timings = []

    class Slow:
        def ready(self, number, most):
            clock(0)
            return 1, None

        def run(self, states, number, count, rows):
            for _ in range(9):
                clock(0)
            return states, {"s": {"loss": 0.0, "skipped": 0.0}}

    recorder = Recorder()
    recorder.train = lambda step, metrics, timing: timings.append(timing)
    plan = Plan(total_steps=4, log_every=2, evaluate_every=9.0)
    keep = {"checkpointer": recorder, "reporter": recorder, "images_per_step": 4}
    run(plan, 0, start=0, steps=Slow(), evaluate=lambda states: {}, **keep)
    expected = {"seconds": 20.0, "images_per_second": 0.4, "input_percent": 10.0}
    assert timings == [expected, expected]


def test_a_resumed_run_does_only_the_rest():
    plan = Plan(total_steps=5, log_every=2, evaluate_every=3.0)
    states, events = drive(plan, start=3)
    assert states == 5
    assert [e[:2] for e in events if e[0] == "evaluation"] == [("evaluation", 5)]


def test_epochs_that_are_not_whole_steps_are_evaluated_when_they_end():
    # 10,000 images in batches of 128: 78.125 steps an epoch.
    plan = Plan(total_steps=235, log_every=1, evaluate_every=78.125)
    assert [n for n in range(1, 236) if plan.evaluates_at(n)] == [79, 157, 235]


def test_it_gives_up_after_so_many_skipped_steps_in_a_row():
    plan = Plan(total_steps=50, log_every=7, evaluate_every=50.0)
    error, _ = drive(plan, bad=range(11, 50))
    assert isinstance(error, NonFinite)
    assert error.exit_code == 3
    assert error.student == "s"
    assert f"in steps 12 to {11 + PATIENCE}" in str(error)


def test_skipped_steps_now_and_then_are_only_counted():
    plan = Plan(total_steps=50, log_every=7, evaluate_every=50.0)
    states, _ = drive(plan, bad=range(0, 50, 2))
    assert states == 50


def test_averages_leave_skipped_steps_out():
    rows = [{"loss": 1.0, "skipped": 0.0}, {"loss": math.nan, "skipped": 1.0}]
    counted = {"skipped": 1.0, "skipped/loss": 1.0}
    assert average([{"s": row} for row in rows])["s"] == {"loss": 1.0} | counted
    assert math.isnan(average([{"s": rows[1]}])["s"]["loss"])


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
def test_a_signal_saves_and_stops(number):
    def at_step(step):
        if step == 2:
            os.kill(os.getpid(), number)

    plan = Plan(total_steps=50, log_every=40, evaluate_every=40.0)
    before = signal.getsignal(number)
    error, events = drive(plan, at_step=at_step)
    assert isinstance(error, Preempted)
    assert error.exit_code == 42
    assert events == [("save", 3, False), ("wait",)]
    assert signal.getsignal(number) is before


def test_a_signal_before_the_first_step_saves_nothing_and_ends():
    plan = Plan(total_steps=50, log_every=40, evaluate_every=40.0)
    with pytest.raises(signals.Stopped) as stopped:
        drive(plan, at_step=lambda step: os.kill(os.getpid(), signal.SIGTERM))
    assert stopped.value.exit_code == 143


def test_a_signal_ends_an_evaluation_which_the_next_start_makes_up_for():
    plan, calls = Plan(total_steps=6, log_every=4, evaluate_every=3.0), []

    def evaluate(states):
        calls.append(states)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    started = time.monotonic()
    error, events = drive(plan, evaluate=evaluate)
    assert isinstance(error, Preempted) and time.monotonic() - started < 5
    assert events == [("save", 3, False), ("wait",)] and calls == [3]
    saved = {"progress": error.recorder.progress}
    states, rest = drive(plan, start=3, saved=saved)
    assert states == 6
    events = [e for e in events + rest if e != ("wait",)]
    events.remove(("save", 3, False))
    whole = drive(plan)[1]
    assert events == whole[:-1]


def test_a_signal_that_came_just_before_an_evaluation_leaves_it_too(monkeypatch):
    """After the processes have agreed to go on, while a row is reported."""
    plan, calls = Plan(total_steps=6, log_every=3, evaluate_every=3.0), []

    def train(self, step, metrics, timing):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # a handler runs between two instructions

    monkeypatch.setattr(Recorder, "train", train)
    error, events = drive(plan, evaluate=calls.append)
    assert isinstance(error, Preempted) and not calls
    assert events == [("save", 3, False), ("wait",)]


def test_an_evaluation_that_is_made_up_for_may_be_enough():
    plan = Plan(total_steps=9, log_every=3, evaluate_every=3.0, stop_at_train_top1=90.0)
    good = {"s": {"top1": 0.0, "train_top1": 95.0}}
    saved = {"progress": {"step": 3, "steps": {}}}
    states, events = drive(plan, start=3, saved=saved, evaluate=lambda states: good)
    assert states == 3
    assert [e[:2] for e in events] == [("evaluation", 3), ("save", 3), ("wait",)]


def test_a_signal_after_the_state_is_saved_is_the_code_of_a_run_that_goes_on():
    plan = Plan(total_steps=50, log_every=40, evaluate_every=40.0)
    with pytest.raises(signals.Stopped) as stopped, signals.watched("kdjax x"):
        error, _ = drive(plan, deadline=time.monotonic() - 1)
        assert isinstance(error, Preempted)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert stopped.value.exit_code == 42


def test_a_loop_in_another_thread_leaves_the_signals_of_the_main_one_alone():
    plan = Plan(total_steps=2, log_every=1, evaluate_every=2.0)
    stopped = pytest.raises(signals.Stopped)  # nothing here looks at what was noted
    with stopped, signals.deferred(lambda: "saving") as stop:
        thread = threading.Thread(target=drive, args=(plan,))
        thread.start()
        thread.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)
        assert stop.noted


@pytest.mark.parametrize(
    "most, stop", [(most, stop) for most in (1, 4) for stop in range(most, 12)]
)
def test_rows_are_what_they_are_without_a_stop(most, stop):
    """Means over steps of which some were made before the stop, and one skipped."""
    plan = Plan(total_steps=12, log_every=5, evaluate_every=100.0)
    how = {"bad": (2, 7), "most": most}

    def at_step(step):
        if step == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = [e for e in drive(plan, **how)[1] if e[0] != "save"]
    error, events = drive(plan, at_step=at_step, **how)
    if isinstance(error, Preempted):
        progress = json.loads(json.dumps(error.recorder.progress, allow_nan=False))
        start = progress["step"]
        assert start >= stop and ("save", start, False) in events
        events = [e for e in events if e not in (("wait",), ("save", start, False))]
        events += drive(plan, start=start, saved={"progress": progress}, **how)[1]
    assert [e for e in events if e[0] != "save"] == whole


def test_time_that_is_up_saves_and_stops_and_the_rest_follows(clock):
    plan = Plan(total_steps=50, log_every=40, evaluate_every=40.0)
    error, events = drive(plan, at_step=clock, deadline=103.0)
    assert isinstance(error, Preempted) and error.exit_code == 42
    assert "because its time is up at step 3 of 50" in str(error)
    assert events == [("save", 3, False), ("wait",)]
    states, events = drive(plan, start=3, at_step=clock, deadline=1000.0)
    assert states == 50
    assert [e[1] for e in events if e[0] == "save"] == [40, 50]


def test_a_run_without_any_time_gets_on_by_a_step():
    plan = Plan(total_steps=50, log_every=40, evaluate_every=40.0)
    error, events = drive(plan, start=7, deadline=time.monotonic() - 1)
    assert isinstance(error, Preempted)
    assert events == [("save", 8, False), ("wait",)]


def test_time_that_is_up_at_an_evaluation_saves_once(clock):
    plan = Plan(total_steps=50, log_every=40, evaluate_every=2.0)
    error, events = drive(plan, at_step=clock, deadline=102.0)
    assert isinstance(error, Preempted)
    assert events == [("evaluation", 2), ("save", 2, True), ("wait",)]


def test_time_that_is_up_at_the_last_step_takes_nothing_away(clock):
    plan = Plan(total_steps=3, log_every=40, evaluate_every=40.0)
    states, events = drive(plan, at_step=clock, deadline=103.0)
    assert states == 3 and ("evaluation", 3) in events
