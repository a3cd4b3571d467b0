"""Selections by name: which samples a student hears its teacher on, or trains on.

Each builder returns a `Refresh`: the weights to begin with, and how and when they are
computed from what a network says of the training set. None stands for all samples.
"""

import inspect

import numpy as np

from kdjax import contracts
from kdjax.contracts import InputError, nearest
from kdjax.experiment.data import Data, keep_digest, read_keep
from kdjax.experiment.influence import Influence
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.schema import plain
from kdjax.selection import detectors, evidence, fine, mixture
from kdjax.training.state import SelectionSchedule

NEVER = float("inf")


def every_sample() -> None:
    """All samples, all the time."""
    return None


def from_file(*, path: str, images: Data) -> SelectionSchedule:
    """What `python -m kdjax select` kept."""
    keep = read_keep(path, "config.selection.path", images.train)
    return _fixed(keep, keep_digest(keep))


def at_random(*, keep_ratio: float, seed: int = 0, images: Data) -> SelectionSchedule:
    """The control: a share of the samples, whichever."""
    count = len(images.train.label)
    return _fixed(detectors.at_random(count, ratio=keep_ratio, seed=seed).keep)


def by_detector(
    *,
    images: Data,
    detector: str,
    first_epoch: float,
    every_epochs: float = 0.0,
    parameters: dict | None = None,
) -> SelectionSchedule:
    """Labels that the student itself, so far, holds to be clean.

    Args:
      images: whose labels are in question.
      detector: clk, same or fine.
      first_epoch: until then all samples count; FINE's authors warm up for 40.
      every_epochs: between two selections; 0 for a single one.
      parameters: of the detector.
    """
    detect = named_detector("selection", detector, parameters)
    labels = images.train.label

    def compute(answers, sample_info):
        # As FINE's authors do: directions come from what was kept before.
        kept = detect(as_one(answers, labels), sample_info["selection"] > 0)
        return {"selection": kept.keep.astype(np.float32)}

    start = {"selection": np.ones(len(labels), np.float32)}
    return SelectionSchedule(
        first_epoch=first_epoch, every_epochs=every_epochs, start=start, compute=compute
    )


def by_dividemix(
    *,
    images: Data,
    warmup_epochs: float,
    detector: str = "",
    probability: str = "loss",
    threshold: float = 0.5,
    every_epochs: float = 1.0,
    parameters: dict | None = None,
) -> SelectionSchedule:
    """DivideMix's labelled set of each network, by the losses of the other one.

    Args:
      images: whose labels are in question.
      warmup_epochs: before the first division; the method's own number.
      detector: clk, same or fine, whose set is intersected; "" for the losses alone.
      probability: that a label is clean, by the "loss", as DivideMix does; by "fine",
        as F-DivideMix does; or "kept", 1 for what the detector keeps.
      threshold: on that probability.
      every_epochs: between two divisions.
      parameters: of the detector.
    """
    detect = named_detector("selection", detector, parameters) if detector else None
    if probability not in PROBABILITIES:
        raise InputError(
            f"selection.probability is {probability!r}; expected one of "
            f"{', '.join(PROBABILITIES)}." + nearest(probability, PROBABILITIES)
        )
    believed = PROBABILITIES[probability]
    contracts.fraction("dividemix", "threshold", threshold)
    labels = images.train.label

    def weights(logits, features):
        said = evidence.Evidence(logits, features, labels)
        kept = detect(said).keep if detect else np.ones(len(labels), bool)
        return mixture.labelled_weights(believed(said), kept, threshold)

    def compute(answers, sample_info):
        columns = [
            # Network 0 is taught what network 1 believes, and the other way round.
            weights(answers["logits"][:, other], answers["features"][:, other])
            for other in (1, 0)
        ]
        return {"clean": np.stack(columns, 1).astype(np.float32)}

    start = {"clean": np.zeros((len(labels), 2), np.float32)}
    return SelectionSchedule(
        first_epoch=warmup_epochs,
        every_epochs=every_epochs,
        start=start,
        compute=compute,
    )


def by_influence(
    *,
    images: Data,
    teacher: Teacher | None,
    data: dict,
    reference: str = "",
    student: str = "",
    checkpoint: str = "latest",
    first_epoch: float = 0.0,
    every_epochs: float = 0.0,
    estimator: str = "teacher_influence",
    keep_ratio: float = 0.8,
    class_balanced: bool = False,
    eta: float | None = 0.8,
    damping: float = 1e-2,
    validation_fraction: float = 0.1,
    seed: int = 0,
    largest: bool = False,
) -> SelectionSchedule:
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
      estimator: and the rest: see `kdjax.experiment.influence.Influence`.
    """
    if estimator == "gradient_dot":
        raise InputError(
            "selection.estimator gradient_dot looks at several checkpoints of a run; "
            "expected `python -m kdjax select` and config.selection.name = 'file'."
        )
    if not reference and not first_epoch:
        raise InputError(
            "selection: expected reference, the workdir of a trained network, or "
            "first_epoch above 0: an untrained student's gradients say nothing."
        )
    rule = Influence(
        estimator=estimator,
        keep_ratio=keep_ratio,
        class_balanced=class_balanced,
        eta=eta,
        damping=damping,
        validation_fraction=validation_fraction,
        seed=seed,
        largest=largest,
    )
    if rule.wants_teacher and teacher is None:
        raise InputError("selection: teacher_influence needs config.teacher.workdir.")
    known = None
    if reference:
        who = {"workdir": reference, "student": student, "checkpoint": checkpoint}
        known = _single(load_trained("config.selection.reference", who, data))

    def compute(answers, sample_info):
        kept = rule.keep(images, [answers], answers.get("teacher_logits"))
        return {"selection": kept.keep.astype(np.float32)}

    return SelectionSchedule(
        first_epoch=first_epoch,
        every_epochs=every_epochs,
        start={"selection": np.ones(len(images.train.label), np.float32)},
        compute=compute,
        reference=(known.network, known.variables) if known else None,
        wants_teacher=rule.wants_teacher,
        digest=known.identity["digest"] if known else "",
    )


def _single(reference: Teacher) -> Teacher:
    if "networks" in reference.identity:
        raise InputError(
            f"selection.reference: {reference.identity['workdir']} trained several "
            "networks at once; expected a single one, whose last layer can be looked "
            "at."
        )
    return reference


def named_detector(path: str, name: str, parameters: dict | None):
    """A detector with its parameters set."""
    if name not in detectors.DETECTORS:
        raise InputError(
            f"{path}.detector is {name!r}; expected one of "
            f"{', '.join(detectors.DETECTORS)}." + nearest(name, detectors.DETECTORS)
        )
    chosen, detect = plain(parameters or {}), detectors.DETECTORS[name]
    takes = list(inspect.signature(detect).parameters)[1:]
    for key in chosen:
        if key not in takes:
            raise InputError(
                f"{path}.parameters.{key} is not a parameter of {name}; it takes "
                f"{', '.join(takes) or 'nothing'}." + nearest(key, takes)
            )

    def run(said: evidence.Evidence, basis: np.ndarray | None = None):
        known = {} if basis is None or "basis" not in takes else {"basis": basis}
        return detect(said, **known, **chosen)

    return run


def as_one(answers: dict, labels: np.ndarray) -> evidence.Evidence:
    """Of peers the mean logits, and their features side by side."""
    logits, features = answers["logits"], answers["features"]
    if logits.ndim == 3:
        logits, features = logits.mean(1), features.reshape(len(labels), -1)
    return evidence.Evidence(logits, features, labels)


def _by_fine(said: evidence.Evidence) -> np.ndarray:
    return fine.aligned_probability(fine.alignment(said), said.labels)


PROBABILITIES = {
    "loss": lambda said: mixture.clean_probability(evidence.losses(said)),
    "fine": _by_fine,
    "kept": lambda said: np.ones(len(said.labels)),
}


def _fixed(keep: np.ndarray, digest: str = "") -> SelectionSchedule:
    """Chosen before the run, and never again."""
    return SelectionSchedule(
        first_epoch=NEVER,
        every_epochs=0.0,
        start={"selection": np.asarray(keep, np.float32)},
        compute=None,
        digest=digest,
    )


SELECTIONS = {
    "all": every_sample,
    "file": from_file,
    "random": at_random,
    "detector": by_detector,
    "influence": by_influence,
    "dividemix": by_dividemix,
}
