"""Weights and other numbers of each sample that are computed again during a run."""

import functools
import pathlib

import numpy as np

from kdjax.contracts import InputError
from kdjax.data.loaders import in_memory
from kdjax.data.npz import Arrays
from kdjax.distributed import collectives
from kdjax.experiment.build import Experiment
from kdjax.experiment.builders import guarded
from kdjax.paths import files
from kdjax.reporting.files import replace_npz
from kdjax.training import sharding
from kdjax.training.evaluator import answerer, passing_rows, predictions
from kdjax.training.state import SelectionSchedule, Student, TrainState

DIRECTORY = "sample_info"
SELECTION = "selection"  # which samples are selected, 1 or 0
EARLIER = "notes"  # what earlier versions called it; their runs go on with it


class SampleInfo:
    """Each student's numbers of each sample, at any step.

    New ones are written to `sample_info/STUDENT/STEP.npz` before the step that first
    reads them, so a resumed run goes on with the very numbers. What a schedule does not
    start with, such as scores, is written for reports alone.
    """

    def __init__(
        self, experiment: Experiment, teacher_variables, mesh, workdir, start: int
    ):
        """Reads what step number `start - 1` read."""
        self.experiment, self.mesh = experiment, mesh
        self.teacher_variables = teacher_variables
        schedules = {n: s.selection_schedule for n, s in experiment.students.items()}
        self.schedules = {n: s for n, s in schedules.items() if s is not None}
        if not start and collectives.is_primary():
            # Of a run that was killed before its first checkpoint.
            for name in (DIRECTORY, EARLIER):
                files.remove_tree(workdir / name)
        is_earlier = start and collectives.broadcast((workdir / EARLIER).is_dir)
        self.directory = workdir / (EARLIER if is_earlier else DIRECTORY)
        self.values = {name: self._saved(name, start) for name in self.schedules}
        for name in self.schedules if not start else ():
            if self.schedules[name].compute is None:  # selected before the run
                collectives.log(f"selection of {name}: {self._describe(name)}")
        self.placed = self._place()
        self._answerers = {}

    def before(self, step: int, states: dict[str, TrainState]):
        """What step number `step` reads, on the devices."""
        due = [n for n in self.schedules if self._is_due(n, step)]
        for name in due:
            self.values[name] = self._compute(name, states[name])
            path = self.directory / name / f"{step}.npz"
            if collectives.is_primary():
                replace_npz(path, **self.values[name])
            if collectives.processes() > 1:
                # Hosts may round differently; all take the numbers of the first.
                collectives.barrier()
                self.values[name] = _read(path)
            if SELECTION in self.values[name]:
                where = f"selection of {name}, before step {step}"
                collectives.log(f"{where}: {self._describe(name)}")
        if due:
            self.placed = self._place()
        return self.placed

    def same_for(self, step: int, most: int) -> int:
        """How many steps from number `step` on read the same numbers, up to `most`."""
        for count in range(1, most):
            if any(self._is_due(name, step + count) for name in self.schedules):
                return count
        return most

    def report(self) -> dict[str, dict]:
        """{"selections": student -> what its present one keeps}, as JSON; or {}."""
        values = {n: v[SELECTION] > 0 for n, v in self.values.items() if SELECTION in v}
        selections = {
            name: {
                "kept": int(keep.sum()),
                "samples": len(keep),
                "kept_of_class": self._shares(keep),
            }
            for name, keep in values.items()
        }
        return {"selections": selections} if selections else {}

    def _shares(self, keep: np.ndarray) -> dict[str, float]:
        train = self.experiment.train
        from kdjax.selection.shares import class_shares

        return class_shares(keep, train.label, train.class_names)

    def _describe(self, name: str) -> str:
        keep = self.values[name][SELECTION] > 0
        from kdjax.selection.shares import describe_kept

        return describe_kept(keep, self._shares(keep))

    def _is_due(self, name: str, step: int) -> bool:
        return self.schedules[name].due(step, self.experiment.steps_per_epoch)

    def _place(self):
        """What the steps read: what was there from the start."""
        count = len(self.experiment.train.label)
        read = {
            name: {key: values[key] for key in self.schedules[name].start}
            for name, values in self.values.items()
        }
        return in_memory.place_sample_info(read, self.mesh, count)

    def _saved(self, name: str, start: int) -> dict[str, np.ndarray]:
        """What the step before `start` read."""
        if not any(self._is_due(name, step) for step in range(start)):
            return self.schedules[name].start
        newest = collectives.broadcast(lambda: _newest(self.directory / name, start))
        return _read(self.directory / name / f"{newest}.npz")

    def _compute(self, name: str, state: TrainState) -> dict[str, np.ndarray]:
        schedule, student = self.schedules[name], self.experiment.students[name]
        outputs = self._outputs(schedule, student, state)
        if schedule.wants_teacher:
            outputs = outputs | {"teacher_logits": self._teacher_logits}
        where = f"selection of {name}, before step {int(state.step)}"
        return guarded(where, schedule.compute, outputs, self.values[name])

    def _outputs(
        self, schedule: SelectionSchedule, student: Student, state: TrainState
    ) -> dict[str, np.ndarray]:
        """Of the reference the first time, where there is one; else the student's."""
        network, variables = student.network, (state.params, state.batch_stats)
        first = schedule.first_step(self.experiment.steps_per_epoch)
        if schedule.reference is not None and int(state.step) == first:
            network, host = schedule.reference
            variables = sharding.place_replicated(host, self.mesh)
        if id(network) not in self._answerers:
            normalise = self.experiment.augment.evaluate
            self._answerers[id(network)] = answerer(network, normalise, self._batches)
        return self._answerers[id(network)](variables)

    @functools.cached_property
    def _batches(self):
        rows = self.experiment.evaluation_batch_size
        return passing_rows(self.experiment.train, rows, self.mesh)

    @functools.cached_property
    def _teacher_logits(self) -> np.ndarray:
        """On the training images, without crops; [n, classes]."""
        network, batches = self.experiment.teacher.network, self._batches
        normalise = self.experiment.augment.evaluate
        logits = predictions(network, self.teacher_variables, normalise, batches)
        pairs = zip(logits, batches.counts, strict=True)
        return np.concatenate([x[:count] for x, count in pairs])


def _newest(directory: pathlib.Path, start: int) -> int:
    """The last step before `start` that numbers were computed for."""
    stems = [name.removesuffix(".npz") for name in files.names(directory)]
    steps = [int(stem) for stem in stems if stem.isdigit() and int(stem) < start]
    if not steps:
        raise InputError(
            f"--workdir: {directory} has nothing from before step {start}, which this "
            "run needs to go on; restore that directory or use a new --workdir."
        )
    return max(steps)


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, Arrays(file) as saved:
            return dict(saved)
    except Exception as error:  # NumPy and zipfile raise six kinds for damaged files
        if files.is_refused(error) and not isinstance(error, MemoryError):
            raise
        raise InputError(
            f"--workdir: {path} is damaged ({files.text_of(error)}). This run "
            "needs it to go on: expected that file from a copy, or a new --workdir."
        ) from error
