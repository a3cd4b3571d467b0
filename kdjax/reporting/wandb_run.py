"""A run in Weights & Biases: https://docs.wandb.ai/ref/python."""

import os
import pathlib
import secrets
import shutil

import wandb

from kdjax.paths import is_url
from kdjax.paths.files import scratch
from kdjax.reporting.trackers import Run, store_id, stored_id

TRACKER = "wandb"
LONGEST_TAG = 64  # letters
# What it would do beside the rows: W&B would catch all that is printed, and send the
# command, whose arguments did not pass `public`, and the sources.
SETTINGS = {"console": "off", "save_code": False, "disable_git": True, "silent": True}
SETTINGS |= {"x_disable_meta": True, "finish_timeout": 60.0}


class WandbRun:
    """One run, of the same id at every start.

    A server knows the last step that it has. Without one (WANDB_MODE=offline) each
    start writes a directory of its own: the new one has all rows of the run, and takes
    the place of those before, so that `wandb sync` sends no row twice.
    """

    def __init__(self, run: Run):
        earlier = stored_id(run.directory, TRACKER)
        own = earlier or secrets.token_hex(4)
        fields = wandb.Settings.model_fields  # they differ between versions
        settings = {key: value for key, value in SETTINGS.items() if key in fields}
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "kdjax",
            name=os.environ.get("WANDB_NAME") or run.name,
            id=own,
            resume="allow",
            reinit="create_new",  # a notebook may have a run of its own
            dir=os.environ.get("WANDB_DIR") or _directory(run.directory),
            config=run.config,
            tags=sorted({tag[:LONGEST_TAG] for tag in run.tags.values() if tag}),
            settings=wandb.Settings(**settings),
        )
        store_id(run.directory, TRACKER, own)
        offline = self._run.offline
        self.where = f"{_offline(self._run)}" if offline else self._run.url
        self._begin = self._run.starting_step
        self._waiting: tuple[int, dict] | None = None
        if earlier and offline:
            self._replace()

    def has(self, step: int, key: str) -> bool:
        return step < self._begin

    def add(self, step: int, values: dict) -> None:
        """Keeps a row until the next step: W&B takes each step once."""
        if self._waiting and self._waiting[0] != step:
            self._send()
        numbers = {key: value for key, value in values.items() if value is not None}
        self._waiting = step, (self._waiting or (step, {}))[1] | numbers

    def image(self, step: int, name: str, png: bytes) -> None:
        with scratch() as directory:
            path = directory / "image.png"
            path.write_bytes(png)
            self.add(step, {name: wandb.Image(str(path))})
            self._send()  # which copies the file

    def summary(self, step: int, values: dict[str, float]) -> None:
        self._run.summary.update(values)

    def close(self, finished: bool) -> None:
        """What waits in a run that is stopped is sent by the next start.

        An evaluation of the same step may follow there.
        """
        if finished:
            self._send()
        self._run.finish(exit_code=0 if finished else 1)

    def _send(self) -> None:
        if self._waiting:
            step, values = self._waiting
            self._waiting = None
            self._run.log(values, step=step)

    def _replace(self) -> None:
        """Deletes what earlier starts wrote, all of whose rows come again."""
        own = _offline(self._run)
        for directory in own.parent.glob(f"offline-run-*-{self._run.id}"):
            if directory != own:
                shutil.rmtree(directory, ignore_errors=True)


def _offline(run) -> pathlib.Path:
    """Where a run without a server is written."""
    return pathlib.Path(run.dir).parent


def _directory(directory: pathlib.Path) -> str | None:
    """Below the workdir; None, W&B's usual one, where that is in a bucket."""
    if is_url(directory):
        return None
    directory.mkdir(parents=True, exist_ok=True)
    return str(directory)
