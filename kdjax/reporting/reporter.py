"""Reports a run while it goes on: metrics.jsonl, a live line, TensorBoard."""

import contextlib
import math
import pathlib
import sys
import time

from rich.progress import Progress, TextColumn
from rich.table import Column

from kdjax.contracts import json_text, printable
from kdjax.distributed import collectives, process_log
from kdjax.paths.json_files import parse_json
from kdjax.reporting.console import console, plain
from kdjax.reporting.events import open_events
from kdjax.reporting.files import replace
from kdjax.reporting.growing import open_append
from kdjax.training.goodput import Goodput

ROW = {"step": int, "epoch": float, "seconds": float, "time?": {str: float}}
PLAIN_SECONDS = 10.0  # between two lines where the output is not a terminal


class Reporter:
    """One run's metrics.jsonl, live line and TensorBoard events.

    Keys are `train/<student>/<metric>` and `eval/<student>/<metric>`; every row has
    step, epoch, seconds (of wall time, over all resumes) and time, what the wall time
    went to (`Goodput.seconds`, which counts what was lost in restarts too).
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        *,
        start: int,
        total_steps: int,
        steps_per_epoch: float,
        tensorboard: bool = True,
        goodput: Goodput | None = None,
        progress: dict | None = None,
        evaluated: bool = True,
        stream=None,
    ):
        """Opens the files; rows after step `start` belong to a lost future and go.

        `progress` has the "step", "seconds" and "time" of the state that goes on. Where
        that was not `evaluated`, it will be, and a row of it goes too.
        """
        self.total_steps, self.steps_per_epoch = total_steps, steps_per_epoch
        self.last_evaluation: dict[str, dict[str, float]] = {}
        self._last_step = start
        self._path = workdir / "metrics.jsonl"
        logged, self._goodput = read_rows(self._path), goodput or Goodput()
        rows = [row for row in logged if row["step"] <= start]
        if start and not rows and not progress:
            text = f"has no row of the {start} steps before; those metrics are lost"
            collectives.log(f"{self._path} {text}")
        if not evaluated and rows and rows[-1]["step"] == start:
            rows = [row for row in rows if row["step"] < start or not _is_score(row)]
        kept = rows + [progress] * bool(progress)
        lost = [row for row in logged if row["step"] > start]
        self._goodput.resume(kept + lost, start)
        self._start = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        replace(self._path, "".join(json_text(row) + "\n" for row in rows))
        self._file, self._unwritten = open_append(self._path), b""
        self._line, self._events = _live_line(stream), None
        if tensorboard:
            self._events = open_events(workdir / "tensorboard", start, self.say)

    @property
    def seconds(self) -> float:
        """Wall seconds over all resumes, compilation and evaluation included."""
        return time.monotonic() - self._start

    def train(self, step: int, metrics: dict, timing: dict) -> None:
        keys = ("images_per_second", "input_percent", "input_process")
        speed = {f"train/{key}": timing[key] for key in keys if key in timing}
        self._write(step, _flat("train", metrics) | speed)
        line = self._progress(step, metrics, timing)
        process_log.write(line)
        self._line.show(line, step == self.total_steps)

    def evaluation(self, step: int, metrics: dict) -> None:
        self.last_evaluation = metrics
        self._write(step, _flat("eval", metrics))
        self.say(
            f"epoch {step / self.steps_per_epoch:.4g}  "
            + "  ".join(f"{name} {row['top1']:.2f}%" for name, row in metrics.items())
        )

    def say(self, sentence: str) -> None:
        """Prints one sentence above the live line."""
        process_log.write(sentence)
        self._line.keep(sentence)

    def flush(self) -> None:
        """All rows are on the disk: a state that is saved has its rows. Or an OSError.

        Where the disk is full, rows wait here for the next one that is written.
        """
        try:
            self._write_out()
            self._file.flush()
        except OSError as error:
            text = f"{self._path} cannot be written ({error.strerror})"
            raise OSError(error.errno, text) from error

    def close(self) -> None:
        self._line.close()
        with contextlib.suppress(OSError):  # `flush` was there for that
            self._write_out()
        self._file.close()
        if self._events:
            self._events.close()

    def _write(self, step: int, values: dict[str, float]) -> None:
        row = {"step": step, "epoch": round(step / self.steps_per_epoch, 4)}
        row |= {"seconds": round(self.seconds, 3), "time": self._goodput.seconds()}
        waiting, line = bool(self._unwritten), f"{json_text(row | values)}\n"
        self._unwritten += line.encode()
        try:
            self._write_out()
        except OSError as error:
            if not waiting:
                self.say(f"{self._path}: {error.strerror}; its rows wait in memory")
        if self._events:
            self._events.add(step, values)

    def _write_out(self) -> None:
        if self._unwritten:
            self._file.write(self._unwritten)
            self._unwritten = b""

    def _progress(self, step: int, metrics: dict, timing: dict) -> str:
        rate = timing["images_per_second"]
        per_step = timing["seconds"] / max(step - self._last_step, 1)
        left, self._last_step = (self.total_steps - step) * per_step, step
        head = (
            f"step {step}/{self.total_steps}  {100 * step / self.total_steps:.1f}%  "
            f"ETA {duration(left)}  {rate:,.0f} images/s  "
            f"{_input(timing)}  "
        )
        return head + "  ".join(_losses(name, row) for name, row in metrics.items())


class Silent:
    """The reporter of the other processes: each reports to its own log alone."""

    seconds = 0.0

    def __init__(self, workdir: pathlib.Path, *, total_steps: int, **_):
        self.last_evaluation: dict[str, dict[str, float]] = {}
        self.total_steps = total_steps

    def train(self, step: int, metrics: dict, timing: dict) -> None:
        rate = timing["images_per_second"]
        process_log.write(
            f"step {step}/{self.total_steps}  {rate:,.0f} images/s of all processes  "
            f"{_input(timing)} of this one"
        )

    def evaluation(self, step: int, metrics: dict) -> None:
        self.last_evaluation = metrics
        process_log.write(f"evaluated after step {step}")

    def say(self, sentence: str) -> None:
        process_log.write(sentence)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def read_rows(path: pathlib.Path, form: dict = ROW) -> list[dict]:
    """Reads metrics.jsonl; rows that are damaged are left out, which is said.

    A last line torn by a crash is left out without a word.
    """
    rows, damaged = [], {}
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    for number, line in enumerate(lines, 1):
        try:
            if line:
                rows.append(parse_json(line, form))
        except ValueError as error:
            damaged |= {} if number == len(lines) else {number: error}
    if damaged:
        first, why = next(iter(damaged.items()))
        count = f"{len(damaged)} of {len(damaged) + len(rows)} rows"
        collectives.log(
            f"{path}: {count} are damaged and left out; line {first}: {why}"
        )
    return rows


def duration(seconds: float) -> str:
    """93784 -> '26h03m', 125 -> '2m05s', 4.2 -> '4s'."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minute:02d}m"
    return f"{minutes}m{second:02d}s" if minutes else f"{second}s"


def _is_score(row: dict) -> bool:
    return any(key.startswith("eval/") for key in row)


def _flat(space: str, metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    return {
        f"{space}/{name}/{key}": float(value)
        for name, row in metrics.items()
        for key, value in row.items()
    }


def _input(timing: dict) -> str:
    """The largest share of the time until the input was ready, and whose it is."""
    whose = f" (process {timing['input_process']})" if "input_process" in timing else ""
    return f"input {timing['input_percent']:.1f}%{whose}"


def _losses(name: str, row: dict[str, float]) -> str:
    terms = [k for k in row if k.startswith("loss/")]
    text = f"{name} {row['loss']:.4f}"
    if len(terms) > 1:
        inner = ", ".join(f"{k.removeprefix('loss/')} {row[k]:.4f}" for k in terms)
        text += f" ({inner})"
    return text + (f" SKIPPED {row['skipped']:.0f}" if row["skipped"] else "")


def _live_line(stream):
    """Of a terminal, a file or, where one runs, a notebook."""
    if stream is None and "IPython" in sys.modules:
        from kdjax.reporting.notebook import NotebookLine, in_notebook

        if in_notebook():
            return NotebookLine()
    return _Line(stream or sys.stderr)


class _Line:
    """A line that is overwritten on a terminal, and printed now and then elsewhere."""

    def __init__(self, stream):
        self._console = console(stream, soft_wrap=True)
        self._last = -math.inf
        one = Column(overflow="ellipsis", no_wrap=True)
        text = TextColumn("{task.description}", markup=False, table_column=one)
        self._live = Progress(text, console=self._console, auto_refresh=False)
        self._task = self._live.add_task("")

    def show(self, text: str, last: bool) -> None:
        if self._console.is_terminal:
            self._live.start()
            self._live.update(self._task, description=printable(text), refresh=True)
        elif last or time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            self.keep(text)

    def keep(self, text: str) -> None:
        self._console.print(plain(text))

    def close(self) -> None:
        if self._live.live.is_started:
            self._live.stop()
