"""The order of operations, once: step, report, evaluate, save, stop."""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import jax
import numpy as np

from kdjax import signals
from kdjax.training.goodput import Goodput
from kdjax.training.metrics import average, from_json, to_json
from kdjax.training.plan import Plan
from kdjax.types import PyTree

BY_SIGNAL = "by a signal"  # why a run stops


class NonFinite(RuntimeError):
    """Too many updates of `student` were skipped, or what it ended with is NaN."""

    exit_code = 3

    def __init__(self, message: str, student: str):
        super().__init__(message)
        self.student = student


class Preempted(RuntimeError):
    """The run was stopped and saved its state; the same command resumes it."""

    exit_code = 42


class Steps(Protocol):
    """What the loop needs of the training itself."""

    def ready(self, number: int, most: int) -> tuple[int, PyTree]:
        """(how many steps from `number` on come next, 1 to `most`; their input)."""

    def run(self, states: PyTree, number: int, count: int, batch_specs: PyTree):
        """(states after them, metrics on the device; of each the first `count`)."""


def run(
    plan: Plan,
    states: PyTree,
    *,
    start: int,
    steps: Steps,
    evaluate: Callable[[PyTree], dict[str, dict[str, float]]],
    checkpointer,
    reporter,
    images_per_step: int,
    deadline: float = math.inf,
    should_stop: Callable[[int, str], str] = lambda done, why: why,
    gather: Callable[[float], list[float]] = lambda value: [value],
    agree: Callable[[bool], bool] = lambda own: own,
    goodput: Goodput | None = None,
    saved: dict | None = None,
    skipped: dict | None = None,
    record_skipped: Callable[[int, dict[str, str]], str] = lambda step, reasons: "",
) -> PyTree:
    """Trains from `start` to `plan.total_steps`.

    What is evaluated is saved with its metrics, so "best" always refers to a state that
    was evaluated. What is saved in between is there to go on from: by the rhythm of the
    plan, on a stop signal, and at `deadline`. A signal ends an evaluation, which is
    made up for at the next start.

    Args:
      checkpointer: has `save(step, states, metrics or None, beside)` and `wait()`.
      reporter: has `train(step, metrics, timing)`, `evaluation(step, metrics)`,
        `flush()` of what it was given and `seconds` of wall time.
      deadline: on `time.monotonic()`; the steps that are running then are the last
        ones. One step is always made, so that a run gets on however little time it has.
      should_stop: (steps done, why this process would stop, or "") -> why all do.
      gather: a number -> those of all processes, in the one that reports.
      agree: what one process finds -> what the first finds; all call it together.
      goodput: counts the time; a new one where it is None.
      saved: what was saved beside the states: "metrics", if they were evaluated, and
        "progress".
      skipped: counts of skipped steps that were saved at `start`; added to.
      record_skipped: of `guards.count`.

    Raises:
      NonFinite: too many steps were skipped, as `guards.count` has it.
      Preempted: a signal came, or the time is up; the state is saved.
      Stopped: a signal came before the first step.
    """
    window, saved = _Window(images_per_step, gather, goodput or Goodput()), saved or {}
    progress = saved.get("progress", {})
    window.resume(progress)
    skips = _Skips(plan, {} if skipped is None else skipped, record_skipped)
    done, save = start, functools.partial(window.save, checkpointer, reporter, skips)
    results = None
    with signals.deferred(lambda: f"saving the state of step {done}", False) as stop:
        score = functools.partial(window.score, evaluate, reporter, stop)
        if progress and plan.evaluates_at(start) and not saved.get("metrics"):
            results, stop.unsaved = score(done, states), True
            save(done, states, results)
        enough = plan.is_enough(results)
        while done < plan.total_steps and not enough:
            count, batch_specs = window.input(steps, done, plan.next_event(done) - done)
            states, metrics = steps.run(states, done, count, batch_specs)
            stop.unsaved = True
            window.pending.append((count, metrics))
            done += count
            why, results = should_stop(done, _why_stop(stop, deadline)), None
            if plan.logs_at(done):
                window.report(done, reporter, skips)
            if plan.evaluates_at(done) and why != BY_SIGNAL:
                results = score(done, states)
                why = BY_SIGNAL if results is None else why
            if _saves(plan, done, why, results, window.saved_at, agree):
                save(done, states, results)
            if plan.is_enough(results):
                break
            # A run that is finished says so, if its time is up too.
            if why and (done < plan.total_steps or results is None):
                checkpointer.wait()
                signals.resumable()
                raise Preempted(
                    f"stopped {why} at step {done} of {plan.total_steps}; the state is "
                    "saved. The same command goes on from there."
                )
        with window.paused("saving"):
            checkpointer.wait()
        signals.resumable()
    return states


def _saves(plan: Plan, done: int, why: str, results, saved_at: float, agree) -> bool:
    """Whether the state is saved after step `done`; the same in all processes."""
    if results is not None or why or plan.saves_at(done):
        return True
    if not plan.save_minutes or not plan.logs_at(done):
        return False
    # Clocks differ. Where rows are logged the processes wait for the devices anyway.
    return agree(time.monotonic() - saved_at >= 60 * plan.save_minutes)


class _Window:
    """The steps since the last report: their metrics, and the time that they took."""

    def __init__(self, images_per_step: int, gather: Callable, goodput: Goodput):
        self.images_per_step, self.gather = images_per_step, gather
        self.goodput = goodput
        goodput.begin_steps()
        self.pending: list[tuple[int, dict]] = []  # (steps, their metrics)
        self.fetched: list[dict] = []  # the metrics of steps before those
        # Since when, and for how long the host got the input ready. On an accelerator
        # it does so while the device computes, so the device waits for less.
        self.since, self.waited = time.monotonic(), 0.0
        self.saved_at = self.since  # as if the state at the start was saved
        self.earlier = 0  # of the fetched steps, those before this start

    def progress(self, done: int, reporter) -> dict:
        """What the next start needs to log what it would have logged without a stop."""
        spent = {"seconds": reporter.seconds, "time": self.goodput.seconds()}
        steps = to_json([(1, metrics) for metrics in self.fetched])
        return {"step": done, **spent, "steps": steps}

    def save(self, checkpointer, reporter, skips, done: int, states, results) -> None:
        """Begins to save the states after step `done`."""
        with self.paused("saving"):
            skips.count(self.fetch(), done)
            reporter.flush()
            beside = {"progress": self.progress(done, reporter)}
            beside |= {"skipped_steps": skips.counts} if skips.counts else {}
            checkpointer.save(done, states, results, beside)
        self.saved_at = time.monotonic()

    def score(self, evaluate, reporter, stop: signals.Deferral, done: int, states):
        """What `evaluate` returns, reported; None where a signal has ended it.

        Of several processes none can leave the others: a signal waits for its end.
        """
        results, alone = None, jax.process_count() == 1
        with self.paused("evaluation"):
            if alone and stop.unsaved:
                with contextlib.suppress(signals.Stopped), stop.interrupting():
                    results = None if stop.noted else evaluate(states)
            else:
                results = evaluate(states)
        if results is not None:
            reporter.evaluation(done, results)
        return results

    def resume(self, progress: dict) -> None:
        """Takes the steps that were made but not logged."""
        self.fetched = _each(from_json(progress.get("steps", {})))
        self.earlier = len(self.fetched)

    def input(self, steps: Steps, done: int, most: int) -> tuple[int, PyTree]:
        """The input of the next steps; what the devices wait for it is lost."""
        started = time.monotonic()
        ready = steps.ready(done, most)
        waited = time.monotonic() - started
        self.waited += waited
        running = jax.tree.leaves(self.pending[-1:])
        if all(x.is_ready() for x in running if hasattr(x, "is_ready")):
            self.goodput.add("input", waited)
        return ready

    @contextlib.contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """No training: images/s and ETA leave it out, and to goodput it is lost."""
        jax.block_until_ready(self.pending)
        paused = time.monotonic()
        with self.goodput.spending(name):
            yield
        self.since += time.monotonic() - paused

    def fetch(self) -> list[dict]:
        """The metrics of steps that were not fetched yet; waits for the devices."""
        new = _each(jax.device_get(self.pending))
        self.fetched, self.pending = self.fetched + new, []
        return new

    def report(self, done: int, reporter, skips: "_Skips") -> None:
        """Reports the means after step `done`, and begins anew."""
        new, steps = self.fetch(), self.fetched
        seconds, own = time.monotonic() - self.since, len(steps) - self.earlier
        # All processes are here after the same step, and the slowest input delays all.
        shares = self.gather(100 * self.waited / seconds)
        timing = {
            "seconds": seconds,
            "images_per_second": own * self.images_per_step / seconds,
            "input_percent": max(shares),
        }
        if len(shares) > 1:
            timing["input_process"] = shares.index(max(shares))
        reporter.train(done, average(steps), timing)
        skips.count(new, done)
        self.fetched, self.since, self.waited = [], self.since + seconds, 0.0
        self.earlier = 0


def _each(pending: list[tuple[int, dict]]) -> list[dict]:
    """The metrics of every step, of parts of several steps."""
    return [
        {
            name: {key: np.atleast_1d(value)[i] for key, value in row.items()}
            for name, row in metrics.items()
        }
        for count, metrics in pending
        for i in range(count)
    ]


class _Skips:
    """Counts the skipped steps of each student; most runs have none."""

    def __init__(self, plan: Plan, counts: dict, record: Callable):
        self.plan, self.counts, self.record = plan, counts, record

    def count(self, window: list[dict], done: int) -> None:
        """Adds those of steps that end with `done`; NonFinite where too many are."""
        if self.counts or any(row["skipped"] for m in window for row in m.values()):
            from kdjax.training import guards

            counts = guards.count(self.counts, window, done, self.plan, self.record)
            self.counts.update(counts)


def _why_stop(stop: signals.Deferral, deadline: float) -> str:
    """What ends the run before its last step; "" where nothing does."""
    if stop.noted:
        return BY_SIGNAL
    return "because its time is up" if time.monotonic() >= deadline else ""
