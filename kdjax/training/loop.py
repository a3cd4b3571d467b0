"""The order of operations, once: step, report, evaluate, save, stop."""

import contextlib
import dataclasses
import itertools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import numpy as np

from kdjax.training.goodput import Goodput
from kdjax.training.update import REASONS
from kdjax.types import PyTree


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """When things happen, in steps."""

    total_steps: int
    log_every: int
    evaluate_every: float  # not whole where the batch does not divide the data set
    save_every: int = 0  # beside each evaluation; 0: not by steps
    save_minutes: float = 0.0  # the same by the clock, where rows are logged
    stop_at_train_top1: float = 0.0  # percent, of every student; 0 never stops early
    max_skipped_share: float = 1.0  # of the steps of a student; see `guards`

    def evaluates_at(self, done: int) -> bool:
        """True at the first step that completes a period, and at the last step."""
        periods = math.floor(done / self.evaluate_every)
        before = math.floor((done - 1) / self.evaluate_every)
        return done == self.total_steps or periods > before

    def saves_at(self, done: int) -> bool:
        """True at each multiple of `save_every`."""
        return bool(self.save_every) and done % self.save_every == 0

    def logs_at(self, done: int) -> bool:
        """True at each multiple of `log_every`, and at the last step."""
        return done == self.total_steps or done % self.log_every == 0

    def next_event(self, done: int) -> int:
        """The first step after `done` of which something is reported or saved."""
        log = (done // self.log_every + 1) * self.log_every
        periods = math.floor(done / self.evaluate_every) + 1
        # Rounding may put the product a step off; `evaluates_at` decides.
        near = max(done + 1, math.ceil(periods * self.evaluate_every) - 1)
        evaluate = next(n for n in itertools.count(near) if self.evaluates_at(n))
        every = self.save_every or self.total_steps
        save = (done // every + 1) * every
        return min(log, evaluate, save, self.total_steps)

    def is_enough(self, results: dict[str, dict[str, float]] | None) -> bool:
        """True where an evaluation says that every student has learnt enough."""
        enough = self.stop_at_train_top1
        if not enough or not results:
            return False
        return all(row["train_top1"] >= enough for row in results.values())


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
    skipped: dict | None = None,
    record_skipped: Callable[[int, dict[str, str]], str] = lambda step, reasons: "",
) -> PyTree:
    """Trains from `start` to `plan.total_steps`.

    What is evaluated is saved with its metrics, so "best" always refers to a state that
    was evaluated. What is saved in between is there to go on from: by the rhythm of the
    plan, on a stop signal, and at `deadline`.

    Args:
      checkpointer: has `save(step, states, metrics or None, skipped)` and `wait()`.
      reporter: has `train(step, metrics, timing)` and `evaluation(step, metrics)`.
      deadline: on `time.monotonic()`; the steps that are running then are the last
        ones. One step is always made, so that a run gets on however little time it has.
      should_stop: (steps done, why this process would stop, or "") -> why all do.
      gather: a number -> those of all processes, in the one that reports.
      agree: what one process finds -> what the first finds; all call it together.
      goodput: counts the time; a new one where it is None.
      skipped: counts of skipped steps that were saved at `start`; added to.
      record_skipped: of `guards.count`.

    Raises:
      NonFinite: too many steps were skipped, as `guards.count` has it.
      Preempted: SIGTERM or SIGINT came, or the time is up; the state is saved.
    """
    window, done = _Window(images_per_step, gather, goodput or Goodput()), start
    skips = _Skips(plan, {} if skipped is None else skipped, record_skipped)
    with stop_signals() as stop:
        while done < plan.total_steps:
            count, batch_specs = window.input(steps, done, plan.next_event(done) - done)
            states, metrics = steps.run(states, done, count, batch_specs)
            window.pending.append((count, metrics))
            done += count
            why = should_stop(done, _why_stop(stop, deadline))
            results, last = None, done == plan.total_steps
            if plan.logs_at(done) or why:
                window.report(done, reporter, skips)
            if plan.evaluates_at(done):
                with window.paused("evaluation"):
                    results = evaluate(states)
                reporter.evaluation(done, results)
            if _saves(plan, done, why, results, window.saved_at, agree):
                with window.paused("saving"):
                    skips.count(window.fetch(), done)
                    checkpointer.save(done, states, results, skips.counts)
                window.saved_at = time.monotonic()
            if plan.is_enough(results):
                break
            if why and not last:
                checkpointer.wait()
                raise Preempted(
                    f"stopped {why} at step {done} of {plan.total_steps}; the state is "
                    "saved. The same command goes on from there."
                )
    with window.paused("saving"):
        checkpointer.wait()
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
        new = [
            {
                name: {key: np.atleast_1d(value)[i] for key, value in row.items()}
                for name, row in metrics.items()
            }
            for count, metrics in jax.device_get(self.pending)
            for i in range(count)
        ]
        self.fetched, self.pending = self.fetched + new, []
        return new

    def report(self, done: int, reporter, skips: "_Skips") -> None:
        """Reports the means after step `done`, and begins anew."""
        new, steps = self.fetch(), self.fetched
        seconds = time.monotonic() - self.since
        # All processes are here after the same step, and the slowest input delays all.
        shares = self.gather(100 * self.waited / seconds)
        timing = {
            "seconds": seconds,
            "images_per_second": len(steps) * self.images_per_step / seconds,
            "input_percent": max(shares),
        }
        if len(shares) > 1:
            timing["input_process"] = shares.index(max(shares))
        reporter.train(done, average(steps), timing)
        skips.count(new, done)
        self.fetched, self.since, self.waited = [], self.since + seconds, 0.0


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


def average(window: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Means of each student's metrics over the steps that were not skipped."""
    result = {}
    for name in window[0]:
        rows = [metrics[name] for metrics in window]
        good = [row for row in rows if not row["skipped"]]
        means = {
            key: float(np.mean([row[key] for row in good])) if good else math.nan
            for key in rows[0]
        }
        means["skipped"] = float(len(rows) - len(good))
        for row in rows:
            if row["skipped"]:
                key = f"skipped/{REASONS[int(row['skipped'])]}"
                means[key] = means.get(key, 0.0) + 1.0
        result[name] = means
    return result


def _why_stop(stop: threading.Event, deadline: float) -> str:
    """What ends the run before its last step; "" where nothing does."""
    if stop.is_set():
        return "by a signal"
    return "because its time is up" if time.monotonic() >= deadline else ""


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """While active, SIGTERM and SIGINT set an event instead of killing the process."""
    event, previous = threading.Event(), {}

    def stop(*_):
        if event.is_set():  # a second signal means it: do not make anyone wait
            raise KeyboardInterrupt
        event.set()

    try:
        # Only the main thread may set handlers; elsewhere the caller handles signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                previous[number] = signal.signal(number, stop)
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
