"""What is known of each sample while a run goes on: placed, renewed, kept on disk."""

import pathlib
import shutil

import numpy as np

from kdjax.contracts import InputError
from kdjax.data.loaders import in_memory
from kdjax.distributed import collectives
from kdjax.experiment.build import Experiment
from kdjax.experiment.schema import guarded
from kdjax.training import sharding
from kdjax.training.evaluator import answerer, passing_rows, predictions
from kdjax.training.state import SelectionSchedule, Student, TrainState

NOTES = "notes"


class SampleInfo:
    """Each student's notes at any step.

    Renewed ones are written to `notes/STUDENT/STEP.npz` before the step that first
    reads them, so a resumed run goes on with the very numbers.
    """

    def __init__(
        self,
        experiment: Experiment,
        teacher_variables,
        mesh,
        workdir: pathlib.Path,
        start: int,
    ):
        """Takes up the notes as they were before step number `start`."""
        self.experiment, self.mesh = experiment, mesh
        self.teacher_variables = teacher_variables
        self.directory = workdir / NOTES
        self.refreshes = {
            name: student.selection_schedule
            for name, student in experiment.students.items()
            if student.selection_schedule is not None
        }
        if not start and collectives.is_primary():
            # What a run left that never came to its first checkpoint.
            shutil.rmtree(self.directory, ignore_errors=True)
        self.values = {name: self._saved(name, start) for name in self.refreshes}
        self.placed = self._place()
        self._batches, self._answerers, self._teacher_logits = None, {}, None

    def before(self, step: int, states: dict[str, TrainState]):
        """The notes that step number `step` reads, on the devices."""
        due = [
            name
            for name, selection_schedule in self.refreshes.items()
            if selection_schedule.due(step, self.experiment.steps_per_epoch)
        ]
        for name in due:
            self.values[name] = self._renewed(name, states[name])
            path = self.directory / name / f"{step}.npz"
            if collectives.is_primary():
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(".part.npz")
                np.savez_compressed(part, **self.values[name])
                part.replace(path)
            if collectives.processes() > 1:
                # Hosts may round differently; all take the numbers of the first.
                collectives.barrier()
                self.values[name] = _read(path)
        if due:
            self.placed = self._place()
        return self.placed

    def same_for(self, step: int, most: int) -> int:
        """How many steps from number `step` on read the same notes, up to `most`."""
        per_epoch = self.experiment.steps_per_epoch
        for count in range(1, most):
            if any(r.due(step + count, per_epoch) for r in self.refreshes.values()):
                return count
        return most

    def _place(self):
        count = len(self.experiment.train.label)
        return in_memory.place_sample_info(self.values, self.mesh, count)

    def _saved(self, name: str, start: int) -> dict[str, np.ndarray]:
        """The notes that the step before `start` read.

        Raises:
          InputError: they were renewed before, and the file is not there.
        """
        selection_schedule = self.refreshes[name]
        steps_per_epoch = self.experiment.steps_per_epoch
        if not any(
            selection_schedule.due(step, steps_per_epoch) for step in range(start)
        ):
            return selection_schedule.start
        newest = collectives.broadcast(lambda: _newest(self.directory / name, start))
        return _read(self.directory / name / f"{newest}.npz")

    def _renewed(self, name: str, state: TrainState) -> dict[str, np.ndarray]:
        selection_schedule, student = (
            self.refreshes[name],
            self.experiment.students[name],
        )
        answers = self._answers(selection_schedule, student, state)
        if selection_schedule.wants_teacher:
            answers = answers | {"teacher_logits": self._teacher()}
        where = f"selection of {name}, before step {int(state.step)}"
        return guarded(where, selection_schedule.compute, answers, self.values[name])

    def _answers(
        self, selection_schedule: SelectionSchedule, student: Student, state: TrainState
    ):
        """Of the reference the first time, where there is one; else the student's."""
        network, variables = student.network, (state.params, state.batch_stats)
        first = selection_schedule.first_step(self.experiment.steps_per_epoch)
        if selection_schedule.reference is not None and int(state.step) == first:
            network, host = selection_schedule.reference
            variables = sharding.place_replicated(host, self.mesh)
        if id(network) not in self._answerers:
            normalise = self.experiment.augment.evaluate
            self._answerers[id(network)] = answerer(network, normalise, self._rows())
        return self._answerers[id(network)](variables)

    def _rows(self):
        if self._batches is None:
            rows = self.experiment.evaluation_batch_size
            self._batches = passing_rows(self.experiment.train, rows, self.mesh)
        return self._batches

    def _teacher(self) -> np.ndarray:
        """The teacher's logits on the training images, without crops; [n, classes]."""
        if self._teacher_logits is None:
            network = self.experiment.teacher.network
            normalise = self.experiment.augment.evaluate
            rows = self._rows()
            said = predictions(network, self.teacher_variables, normalise, rows)
            self._teacher_logits = np.concatenate(
                [x[:count] for x, count in zip(said, rows.counts, strict=True)]
            )
        return self._teacher_logits


def _newest(directory: pathlib.Path, start: int) -> int:
    """The last step before `start` that notes were renewed for."""
    files = directory.glob("*.npz")
    steps = [int(f.stem) for f in files if f.stem.isdigit() and int(f.stem) < start]
    if not steps:
        raise InputError(
            f"--workdir: {directory} has no notes from before step {start}, which this "
            "run cannot go on without; restore that directory or use a new --workdir."
        )
    return max(steps)


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as saved:
        return dict(saved)
