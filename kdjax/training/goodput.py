"""Goodput: the share of a run's wall time that went to training steps.

goodput = 1 - (startup + compilation + input + evaluation + saving + restarts) / total
"""

import contextlib
import functools
import time
from collections.abc import Iterator

import jax

TOTAL = "total"
LOSSES = {
    "startup": "until the first step: data, teacher and state brought to the devices",
    "compilation": "traced, lowered and compiled, or read from a cache of programs",
    "input": "the devices had no work while the host got batches ready",
    "evaluation": "scoring, without its compilation",
    "saving": "until training went on; what is written in the background is free",
    "restarts": "steps that were logged, lost with a killed run and made again",
}
_COMPILING = "/jax/core/compile/"  # events of JAX, with a duration


class Goodput:
    """Wall seconds of a run over all of its starts, by what they went to."""

    def __init__(self):
        """Begins to count, with the startup."""
        self._seconds = dict.fromkeys((TOTAL, *LOSSES), 0.0)
        self._start, self._compiled = time.monotonic(), _compile_seconds()

    def resume(self, rows: list[dict], start: int) -> None:
        """Adds what earlier starts have logged in rows of `step` and `time`.

        All that they spent after step `start` is lost to the restart.
        """
        logged = [row for row in rows if TOTAL in row.get("time", ())]
        kept = [row["time"] for row in logged if row["step"] <= start]
        earlier = dict(kept[-1]) if kept else {TOTAL: 0.0}
        lost = logged[-1]["time"][TOTAL] - earlier[TOTAL] if logged else 0.0
        for name in earlier.keys() & self._seconds.keys():
            self._seconds[name] += earlier[name]
        self._seconds[TOTAL] += lost
        self._seconds["restarts"] += lost

    def begin_steps(self) -> None:
        """Ends the startup."""
        compiled = _compile_seconds() - self._compiled
        self._seconds["startup"] += time.monotonic() - self._start - compiled

    @contextlib.contextmanager
    def spending(self, name: str) -> Iterator[None]:
        """Counts what is done within, but for its compilation, as lost to `name`."""
        start, compiled = time.monotonic(), _compile_seconds()
        yield
        compiled = _compile_seconds() - compiled
        self.add(name, time.monotonic() - start - compiled)

    def add(self, name: str, seconds: float) -> None:
        """Counts seconds as lost to one of LOSSES."""
        self._seconds[name] += seconds

    def seconds(self) -> dict[str, float]:
        """Until now: "total" and each of LOSSES."""
        now = dict(self._seconds)
        now[TOTAL] += time.monotonic() - self._start
        now["compilation"] += _compile_seconds() - self._compiled
        return {name: round(value, 3) for name, value in now.items()}

    def summary(self) -> dict:
        """For summary.json: seconds, goodput_percent and lost_seconds."""
        lost = self.seconds()
        total = lost.pop(TOTAL)
        percent = 100 * (1 - sum(lost.values()) / total)
        return {"seconds": total, "goodput_percent": percent, "lost_seconds": lost}


def sentence(summary: dict) -> str:
    """A `Goodput.summary` as one line, the largest loss first."""
    total, share = summary["seconds"], summary["goodput_percent"]
    lost = sorted(summary["lost_seconds"].items(), key=lambda item: -item[1])
    shares = ", ".join(f"{name} {100 * one / total:.1f} %" for name, one in lost)
    return f"goodput {share:.1f} % of {total:,.1f} s; lost: {shares}"


def _compile_seconds() -> float:
    """Of this process until now."""
    return sum(end - begin for begin, end in _compilations())


@functools.cache
def _compilations() -> list[tuple[float, float]]:
    """(begin, end) on `time.monotonic()` of what JAX compiles, from this call on.

    A function that is traced within another one is counted once, with the outer.
    """
    spans = []

    def listen(event: str, seconds: float, **_) -> None:
        if event.startswith(_COMPILING):
            end = time.monotonic()
            while spans and spans[-1][0] >= end - seconds:
                spans.pop()
            spans.append((end - seconds, end))

    jax.monitoring.register_event_duration_secs_listener(listen)
    return spans
