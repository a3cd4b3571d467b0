"""Experiment trackers beside metrics.jsonl: W&B and MLflow, which no run depends on.

A thread of each sends what it is given, so that no step waits for a server. What fails
is said once, and the run goes on. `metrics.jsonl` has every row: at each start a
tracker is given those of before, and takes what it lacks. So rows that a resumed run
writes again are not doubled, and what a killed one had not sent yet is not lost.
"""

import contextlib
import importlib.util
import pathlib
import pkgutil
import queue
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from kdjax.contracts import InputError
from kdjax.paths.json_files import read_json
from kdjax.reporting.files import replace_json

# Name in the config -> (the package that is imported, what opens a run of it).
TRACKERS = {
    "wandb": ("wandb", "kdjax.reporting.wandb_run:WandbRun"),
    "mlflow": ("mlflow", "kdjax.reporting.mlflow_run:MlflowRun"),
}
INSTALL = {"wandb": "pip install wandb", "mlflow": "pip install mlflow"}
DIRECTORY = "trackers"  # of a workdir: the ids of its runs, and W&B's own files
# Seconds in which a tracker may send the rest at the end of a run, or of a stopped one,
# which a scheduler is about to kill.
FINISHED, STOPPED = 120.0, 10.0
# Of two packages that parse Python as they are imported, in two threads at once, Python
# 3.11 ends one with "AST constructor recursion depth mismatch".
_IMPORTS = threading.Lock()
_SECRET = re.compile(r"secret|token|passw|credential|api_?key|access_?key", re.I)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")  # of https://user:password@host/path


class Run(NamedTuple):
    """What a tracker gets of a run."""

    directory: pathlib.Path  # DIRECTORY of the workdir
    name: str
    config: dict[str, Any]  # nested, as JSON holds it
    tags: dict[str, str]


class TrackerRun(Protocol):
    """An opened run of one tracker; any method may raise anything."""

    where: str  # a person finds it

    def has(self, step: int, key: str) -> bool:
        """Whether an earlier start sent the row of this step that has this key."""

    def add(self, step: int, values: dict[str, float]) -> None: ...

    def image(self, step: int, name: str, png: bytes) -> None: ...

    def summary(self, step: int, values: dict[str, float]) -> None: ...

    def close(self, finished: bool) -> None: ...


def check(names: Iterable[str]) -> None:
    """InputError where a tracker's package is not installed."""
    for name in names:
        if importlib.util.find_spec(TRACKERS[name][0]) is None:
            raise InputError(
                f"config.trackers has {name!r}, and the package {TRACKERS[name][0]} is "
                f"not installed; expected it: {INSTALL[name]}."
            )


def public(config: Any, key: str = "") -> Any:
    """A config without secrets: logins in addresses, and values of such a name.

    >>> public({"data": {"name": "s3://me:pw@host/x"}, "model": {"api_key": "k"}})
    {'data': {'name': 's3://***@host/x'}, 'model': {'api_key': '***'}}
    """
    if isinstance(config, dict):
        return {name: public(value, name) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return [public(value, key) for value in config]
    if _SECRET.search(key) and config:
        return "***"
    return _LOGIN.sub("***", config) if isinstance(config, str) else config


def stored_id(directory: pathlib.Path, tracker: str) -> str:
    """The id of the run that earlier starts reported to; "" for none."""
    with contextlib.suppress(FileNotFoundError, InputError):
        return read_json(directory / f"{tracker}.json", "the id", {"id": str})["id"]
    return ""


def store_id(directory: pathlib.Path, tracker: str, own: str) -> None:
    replace_json(directory / f"{tracker}.json", {"id": own})


class Tracker:
    """A run of one tracker, reported to by a thread."""

    def __init__(self, name: str, run: Run, rows: Iterable[dict], say: Callable):
        """Opens the run, or goes on with it, and sends of `rows` what it lacks."""
        self._name, self._run, self._say = name, run, say
        self._tasks, self._failures, self._finished = queue.SimpleQueue(), 0, False
        for row in rows:
            self.add(row["step"], {key: x for key, x in row.items() if "/" in key})
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, step: int, values: dict[str, float]) -> None:
        if values:
            self._tasks.put(("row", step, values))

    def image(self, step: int, name: str, png: bytes) -> None:
        self._tasks.put(("image", step, name, png))

    def summary(self, step: int, values: dict[str, float]) -> None:
        """What a run ends with, which is finished then."""
        self._finished = True
        self._tasks.put(("summary", step, values))

    def close(self) -> None:
        """Waits until all is sent, but not for ever."""
        self._tasks.put(("close", self._finished))
        patience = FINISHED if self._finished else STOPPED
        self._thread.join(patience)
        if self._thread.is_alive():
            text = f"{self._name}: not everything was sent within {patience:g} s"
            self._say(f"{text}; metrics.jsonl has it all")

    def _work(self) -> None:
        try:
            with _IMPORTS:
                kind_of_run = pkgutil.resolve_name(TRACKERS[self._name][1])
            opened = kind_of_run(self._run)
            self._say(f"{self._name}: {opened.where}")
        except Exception as error:
            return self._failed("cannot be reported to", error)
        kind = ""
        while kind != "close":
            kind, *task = self._tasks.get()
            try:
                self._do(opened, kind, *task)
            except Exception as error:
                self._failed("took not all", error)

    def _do(self, opened: TrackerRun, kind: str, *task) -> None:
        if kind != "row":
            return getattr(opened, kind)(*task)
        step, values = task
        first = next((key for key, x in values.items() if x is not None), "")
        if first and not opened.has(step, first):
            opened.add(step, values)

    def _failed(self, what: str, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            text = " ".join(str(error).split())[:300]
            self._say(
                f"{self._name} {what}: {type(error).__name__}: {text}. The run goes on "
                "without; metrics.jsonl has the same numbers."
            )


def open_trackers(
    names: Iterable[str], run: Run, rows: list[dict], say: Callable[[str], None]
) -> list[Tracker]:
    """Those that a config names, with the rows of earlier starts."""
    return [Tracker(name, run, rows, say) for name in names]
