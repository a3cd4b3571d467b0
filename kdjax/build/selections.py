"""Selections by name: which samples a student hears its teacher on, or trains on.

Each builder returns a `Refresh`: the weights to begin with, and how and when they are
computed from what a network says of the training set. None stands for all samples.
"""

from typing import Any

import numpy as np

from kdjax.build.images import Images, read_keep
from kdjax.build.influences import Influence
from kdjax.build.sections import plain
from kdjax.build.teachers import Teacher, load_trained
from kdjax.contracts import InputError, nearest
from kdjax.selection import detectors, evidence, mixture
from kdjax.training.state import Refresh

NEVER = float("inf")


def every_sample() -> None:
    """All samples, all the time."""
    return None


def from_file(*, path: str, images: Images) -> Refresh:
    """What `python -m kdjax select` kept."""
    keep = read_keep(path, "config.selection.path", images.train)
    return _fixed(keep)


def at_random(*, keep_ratio: float, seed: int = 0, images: Images) -> Refresh:
    """The control: a share of the samples, whichever."""
    count = len(images.train.label)
    return _fixed(detectors.at_random(count, ratio=keep_ratio, seed=seed).keep)


def by_detector(
    *,
    images: Images,
    detector: str,
    first_epoch: float,
    every_epochs: float = 0.0,
    parameters: dict | None = None,
) -> Refresh:
    """Labels that the student itself, so far, holds to be clean.

    Args:
      images: whose labels are in question.
      detector: clk, same or fine.
      first_epoch: until then all samples count; FINE's authors warm up for 40.
      every_epochs: between two selections; 0 for a single one.
      parameters: of the detector.
    """
    detect = named_detector(detector, parameters)
    labels = images.train.label

    def compute(answers, notes):
        said = evidence.Evidence(answers["logits"], answers["features"], labels)
        return {"selection": detect(said).keep.astype(np.float32)}

    start = {"selection": np.ones(len(labels), np.float32)}
    return Refresh(
        first_epoch=first_epoch, every_epochs=every_epochs, start=start, compute=compute
    )


def by_dividemix(
    *,
    images: Images,
    warmup_epochs: float,
    detector: str = "",
    threshold: float = 0.5,
    every_epochs: float = 1.0,
    parameters: dict | None = None,
) -> Refresh:
    """DivideMix's labelled set of each network, by the losses of the other one.

    Args:
      images: whose labels are in question.
      warmup_epochs: before the first division; the method's own number.
      detector: clk, same or fine, whose set is intersected; "" for the losses alone.
      threshold: on the probability that a label is clean.
      every_epochs: between two divisions.
      parameters: of the detector.
    """
    detect = named_detector(detector, parameters) if detector else None
    labels = images.train.label

    def weights(logits, features):
        said = evidence.Evidence(logits, features, labels)
        kept = detect(said).keep if detect else np.ones(len(labels), bool)
        clean = mixture.clean_probability(evidence.losses(said))
        return mixture.labelled_weights(clean, kept, threshold)

    def compute(answers, notes):
        columns = [
            # Network 0 is taught what network 1 believes, and the other way round.
            weights(answers["logits"][:, other], answers["features"][:, other])
            for other in (1, 0)
        ]
        return {"clean": np.stack(columns, 1).astype(np.float32)}

    start = {"clean": np.zeros((len(labels), 2), np.float32)}
    return Refresh(
        first_epoch=warmup_epochs,
        every_epochs=every_epochs,
        start=start,
        compute=compute,
    )


def by_influence(
    *,
    images: Images,
    teacher: Teacher | None,
    data: dict,
    reference: str = "",
    student: str = "",
    checkpoint: str = "latest",
    first_epoch: float = 0.0,
    every_epochs: float = 0.0,
    **scoring: Any,
) -> Refresh:
    """Data selection (Lan et al., arXiv:2404.03693): the teacher where it helps.

    Args:
      images: whose training split is scored.
      teacher: of the run.
      data: classes, image_shape and normalisation.
      reference: workdir of the network that the first scores are about, such as the
        same student trained on labels; "" for the student itself at `first_epoch`.
      student: of the reference's run, where it trained several.
      checkpoint: of the reference: latest, best or a step.
      first_epoch: before it the teacher is heard on all samples.
      every_epochs: between two selections, the later ones by the student itself; 0 for
        a single one.
      **scoring: estimator, keep_ratio and more: the keys of
        `kdjax.build.influences.Influence`.
    """
    rule = Influence(**scoring)
    if rule.estimator == "gradient_dot":
        raise InputError(
            "selection.estimator gradient_dot looks at several checkpoints of a run; "
            "expected `python -m kdjax select` and config.selection.name = 'file'."
        )
    if not reference and not first_epoch:
        raise InputError(
            "selection: expected reference, the workdir of a trained network, or "
            "first_epoch above 0: an untrained student's gradients say nothing."
        )
    if rule.wants_teacher and teacher is None:
        raise InputError("selection: teacher_influence needs config.teacher.workdir.")
    known = None
    if reference:
        who = {"workdir": reference, "student": student, "checkpoint": checkpoint}
        trained = load_trained("config.selection.reference", who, data)
        known = (trained.network, trained.variables)

    def compute(answers, notes):
        kept = rule.keep(images, [answers], answers.get("teacher_logits"))
        return {"selection": kept.keep.astype(np.float32)}

    return Refresh(
        first_epoch=first_epoch,
        every_epochs=every_epochs,
        start={"selection": np.ones(len(images.train.label), np.float32)},
        compute=compute,
        reference=known,
        wants_teacher=rule.wants_teacher,
    )


def named_detector(name: str, parameters: dict | None):
    """A detector with its parameters set."""
    if name not in detectors.DETECTORS:
        raise InputError(
            f"selection.detector is {name!r}; expected one of "
            f"{', '.join(detectors.DETECTORS)}." + nearest(name, detectors.DETECTORS)
        )
    chosen = plain(parameters or {})
    return lambda said: detectors.DETECTORS[name](said, **chosen)


def _fixed(keep: np.ndarray) -> Refresh:
    """Chosen before the run, and never again."""
    start = {"selection": np.asarray(keep, np.float32)}
    return Refresh(first_epoch=NEVER, every_epochs=0.0, start=start, compute=None)


SELECTIONS = {
    "all": every_sample,
    "file": from_file,
    "random": at_random,
    "detector": by_detector,
    "influence": by_influence,
    "dividemix": by_dividemix,
}
