"""What the rules of finished runs did to their training samples."""

import dataclasses
import math
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.npz import Arrays
from kdjax.data.split import Split
from kdjax.experiment import schema
from kdjax.experiment.data import KEEP, load_data, read_keep
from kdjax.experiment.fields import of_json
from kdjax.experiment.methods import build_method
from kdjax.paths import files
from kdjax.reporting.evidence.rules import ChangedTargets, SelectedSamples
from kdjax.runner.compared import student_network, teacher_network
from kdjax.runner.members import Member, Run
from kdjax.runner.outputs import Images
from kdjax.runner.sample_weights import DIRECTORY as SAMPLE_INFO
from kdjax.runner.workdir import read_config
from kdjax.selection import detectors
from kdjax.supervision.pipeline import Supervisor, fixed, supervise
from kdjax.types import Signals


class TrainingSet(NamedTuple):
    """All samples of a run's training split, with the labels that are trained on."""

    split: Split
    true_labels: np.ndarray | None  # where noise was added
    keep: np.ndarray | None  # bool [n]; None where the run is trained on all
    keep_path: str

    @property
    def trained_on(self) -> Split:
        if self.keep is None:
            return self.split
        part = {"image": self.split.image[self.keep]}
        return self.split._replace(label=self.split.label[self.keep], **part)


def training_set(run: Run, data_dir: str | None) -> TrainingSet:
    """Loaded anew; InputError where other images are there now."""
    config = read_config(run.workdir)
    if config is None:
        raise InputError(f"{run.workdir}: its config is not there any more.")
    section = of_json(schema.with_defaults(config)["data"])
    path, where = section["keep"], f"{run.workdir}: config.data.keep"
    data = load_data(
        section | {"keep": "", "data_dir": data_dir or section["data_dir"]}
    )
    keep = read_keep(path, where, data.train) if path else None
    recorded, now = run.meta["data"]["train"], data.train.identity
    if {k: v for k, v in recorded.items() if k in now} != now:
        raise InputError(
            f"these are other training images than those of {run.workdir}: {now} "
            f"instead of {recorded}."
        )
    true = data.true_labels if "noise" in now else None
    return TrainingSet(data.train, true, keep, path)


def rules_of(member: Member) -> Supervisor | None:
    """Those of a student's method that may put another class on top; None for none."""
    if member.run.teacher is None:
        return None
    classes = member.run.meta["data"]["classes"]
    # What a method asks of its run decides nothing of these rules.
    facts = {"num_examples": 1, "num_classes": classes, "batch_size": 1}
    facts |= {"train_labels": np.arange(classes), "teacher_channels": 1}
    facts |= {"total_steps": 1, "steps_per_epoch": 1.0}
    where = f"{member.run.workdir}: {member.student}.method"
    method = build_method(where, of_json(member.section["method"]), **facts)
    rules = method.supervisor
    if rules is None or not (rules.logits or rules.target):
        return None
    constant = rules.temperature and rules.temperature.constant
    if constant is None or math.isinf(constant):  # a target of one temperature
        rules = dataclasses.replace(rules, temperature=fixed(1.0))
    return rules


def changed_targets(
    name: str, member: Member, rules: Supervisor, images: Images
) -> ChangedTargets:
    """Where the target's class is another one than the teacher's, of these images."""
    student = images.outputs(student_network(name, member, keep=True)).logits
    teacher = images.outputs(teacher_network("teacher", member.run, keep=True)).logits
    label = images.split.label
    signals = Signals(
        student_logits=student,
        teacher_logits=teacher,
        labels=label,
        index=np.arange(len(label)),
        selection=np.ones(len(label), np.float32),
        step=jnp.asarray(member.run.meta["step"]),
    )
    supervision, _ = supervise(rules, rules.temperature.init(), signals)
    temperature = float(rules.temperature.constant)
    p = np.asarray(jax.nn.softmax(np.float32(teacher) / temperature))
    target = np.asarray(supervision.target)
    before, after = teacher.argmax(1), target.argmax(1)
    rows = np.flatnonzero(before != after)
    return ChangedTargets(
        student=name,
        temperature=temperature,
        looked_at=len(label),
        teacher_wrong=int(np.sum(before != label)),
        rows=rows,
        label=label[rows],
        teacher_class=before[rows],
        teacher_probability=p[rows, before[rows]],
        target_class=after[rows],
        target_probability=target[rows, after[rows]],
    )


def has_selection(member: Member) -> bool:
    """Whether a student's samples were selected by more than chance."""
    kept = "kept" in member.run.meta["data"]["train"]
    return kept or member.section["selection"]["name"] not in ("all", "random")


def selected_samples(name: str, member: Member, data: TrainingSet) -> SelectedSamples:
    """What is trained on, or what the teacher counts on since the last selection."""
    selection, label = member.section["selection"], data.split.label
    if data.keep is not None:
        what, keep = "the training", data.keep
        score = _read(_file_of(data.keep_path)).get("score")
    elif selection["name"] == "file":
        what, path = "the teacher", selection["path"]
        keep = read_keep(path, f"{name}: selection.path", data.split)
        score = _read(_file_of(path)).get("score")
    else:
        directory = member.run.workdir / SAMPLE_INFO / member.student
        steps = [one.removesuffix(".npz") for one in files.names(directory)]
        last = max((int(step) for step in steps if step.isdigit()), default=None)
        if last is None:
            raise InputError(f"{directory}: no selection was made here.")
        what, arrays = "the teacher", _read(directory / f"{last}.npz")
        score = arrays.get("score")
        if "clean" in arrays:  # DivideMix: of two networks, the mean
            what, score = "the labelled set", arrays["clean"].mean(1)
            keep = score > 0.5
        else:
            keep = arrays["selection"] > 0
        if not member.run.teacher and what == "the teacher":
            what = "the training"
    agreement = None
    if data.true_labels is not None:
        agreement = detectors.agreement(keep, label, data.true_labels)
        agreement["all"] = detectors.keep_all(label, data.true_labels)["f1"]
    return SelectedSamples(name, what, keep, label, data.true_labels, score, agreement)


def _file_of(path: str) -> pathlib.Path:
    file = paths.parse(path, "selection")
    return file / KEEP if file.is_dir() else file


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, Arrays(file) as saved:
            return dict(saved)
    except Exception as error:  # NumPy and zipfile raise six kinds for damaged files
        raise InputError(f"{path} cannot be read: {files.text_of(error)}") from error
