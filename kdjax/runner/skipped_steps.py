"""Which samples the skipped steps of a run had: rows of WORKDIR/skipped_steps.jsonl."""

import pathlib

from kdjax.contracts import json_text
from kdjax.data.loaders.sampler import sample_positions
from kdjax.distributed import collectives
from kdjax.experiment.build import Experiment
from kdjax.reporting.files import replace
from kdjax.reporting.growing import open_append
from kdjax.reporting.reporter import read_rows
from kdjax.runner.summary import SKIPPED_STEPS

MOST_BYTES = 16 << 20  # the first ones are enough to look at


class SkippedSteps:
    """Lists them: {"step", "skipped": {student: reason}, "samples"}, one a line.

    `samples` are positions in the training split, in the order of the batch; `step` is
    the number of steps that were made then, as in metrics.jsonl. Losing the file stops
    no run, and counts are kept elsewhere: in the checkpoints.
    """

    def __init__(self, experiment: Experiment, workdir: pathlib.Path, start: int):
        """Opens it; rows after step `start` belong to a lost future and go."""
        self.path, self._written, self._file = workdir / SKIPPED_STEPS, 0, None
        batch_size, examples = experiment.batch_size, len(experiment.train.label)
        self._sizes = experiment.seed, batch_size, examples
        if collectives.is_primary():
            self._attempt(self._open, start)

    def record(self, step: int, reasons: dict[str, str]) -> str:
        """Adds a row, in the first process; the name of the file."""
        if self._file is not None and self._written < MOST_BYTES:
            seed, batch_size, examples = self._sizes
            index, _ = sample_positions(seed, step - 1, batch_size, examples)
            row = {"step": step, "skipped": reasons, "samples": index.tolist()}
            line = f"{json_text(row)}\n".encode()
            self._written += len(line)
            self._attempt(self._file.write, line)
        return str(self.path)

    def close(self) -> None:
        if self._file is not None:
            self._attempt(self._file.close)

    def _open(self, start: int) -> None:
        rows = [r for r in read_rows(self.path, {"step": int}) if r["step"] <= start]
        text = "".join(json_text(row) + "\n" for row in rows)
        replace(self.path, text)
        self._written, self._file = len(text), open_append(self.path)

    def _attempt(self, write, *arguments) -> None:
        try:
            write(*arguments)
        except OSError as error:
            collectives.log(f"{self.path} could not be written: {error}")
            self._file = None
