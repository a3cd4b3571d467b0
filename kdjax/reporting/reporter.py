"""Reports a run while it goes on: metrics.jsonl, a live line, TensorBoard, trackers."""

import contextlib
import math
import pathlib
import sys
import time
from collections.abc import Callable

from rich.progress import Progress, TextColumn
from rich.table import Column

from kdjax.contracts import json_text, printable
from kdjax.distributed import collectives, process_log
from kdjax.paths.json_files import parse_json
from kdjax.reporting.console import console, plain
from kdjax.reporting.events import open_events
from kdjax.reporting.files import replace
from kdjax.reporting.growing import open_append
from kdjax.reporting.progress import ProgressLine, input_share
from kdjax.training.goodput import Goodput

ROW = {"step": int, "epoch": float, "seconds": float, "time?": {str: float}}
PLAIN_SECONDS = 10.0  # between two lines where the output is not a terminal


class Reporter:
    """One run's metrics.jsonl, live line, TensorBoard events and trackers.

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
        trackers: Callable[..., list] | None = None,
        rates: Callable[[int], dict[str, float]] = lambda step: {},
        goodput: Goodput | None = None,
        progress: dict | None = None,
        evaluated: bool = True,
        stream=None,
    ):
        """Opens the files; rows after step `start` belong to a lost future and go.

        `progress` has the "step", "seconds" and "time" of the state that goes on. Where
        that was not `evaluated`, it will be, and a row of it goes too. `trackers` opens
        those of the run, given its rows and `say`; `rates` are learning rates by step.
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
        self._line, self._rates = _live_line(stream), rates
        self._others = trackers(rows, self.say) if trackers else []
        if tensorboard:
            self._others += open_events(workdir / "tensorboard", start, self.say)

    @property
    def seconds(self) -> float:
        """Wall seconds over all resumes, compilation and evaluation included."""
        return time.monotonic() - self._start

    def train(self, step: int, metrics: dict, timing: dict) -> None:
        keys = ("images_per_second", "input_percent", "input_process")
        own = {key: timing[key] for key in keys if key in timing}
        own |= self._rates(step - 1)  # of the last step
        own = {f"train/{key}": value for key, value in own.items()}
        self._write(step, _flat("train", metrics) | own)
        per_step = timing["seconds"] / max(step - self._last_step, 1)
        left, self._last_step = (self.total_steps - step) * per_step, step
        line = ProgressLine(step, self.total_steps, left, timing, metrics)
        process_log.write(line.full)
        self._line.show(line, step == self.total_steps)

    def evaluation(self, step: int, metrics: dict) -> None:
        self.last_evaluation = metrics
        self._write(step, _flat("eval", metrics))
        scores = (f"{name} {row['top1']:.2f}%" for name, row in metrics.items())
        text = "  ".join([f"epoch {step / self.steps_per_epoch:.4g}", *scores])
        self.say(text, "bold")

    @property
    def shows_images(self) -> bool:
        return bool(self._others)

    def image(self, step: int, name: str, png: bytes) -> None:
        for other in self._others:
            other.image(step, name, png)

    def summary(self, step: int, values: dict[str, float]) -> None:
        """What a finished run ends with."""
        for other in self._others:
            other.summary(step, values)

    def say(self, sentence: str, style: str = "") -> None:
        """Prints one sentence above the live line."""
        process_log.write(sentence)
        self._line.keep(sentence, style)

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
        for other in self._others:
            other.close()
        self._line.close()
        with contextlib.suppress(OSError):  # `flush` was there for that
            self._write_out()
        self._file.close()

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
        for other in self._others:
            other.add(step, values)

    def _write_out(self) -> None:
        if self._unwritten:
            self._file.write(self._unwritten)
            self._unwritten = b""


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
            f"{input_share(timing)} of this one"
        )

    def evaluation(self, step: int, metrics: dict) -> None:
        self.last_evaluation = metrics
        process_log.write(f"evaluated after step {step}")

    def say(self, sentence: str) -> None:
        process_log.write(sentence)

    shows_images = False

    def summary(self, step: int, values: dict[str, float]) -> None: ...

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


def _is_score(row: dict) -> bool:
    return any(key.startswith("eval/") for key in row)


def _flat(space: str, metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    return {
        f"{space}/{name}/{key}": float(value)
        for name, row in metrics.items()
        for key, value in row.items()
    }


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

    def show(self, line: ProgressLine, last: bool) -> None:
        if self._console.is_terminal:
            self._live.start()
            text = printable(line.fitted(self._console.width))
            self._live.update(self._task, description=text, refresh=True)
        elif last or time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            self.keep(line.full)

    def keep(self, text: str, style: str = "") -> None:
        self._console.print(plain(text, style))

    def close(self) -> None:
        if self._live.live.is_started:
            self._live.stop()
