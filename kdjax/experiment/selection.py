"""Selections by name: the samples selected for the teacher, or those trained on.

Each builder returns a `SelectionSchedule`: the weights to start with, and how and when
they are computed from outputs on the training set. None stands for all samples.
`denominator` is a key of each: `kdjax.experiment.denominators`.
"""

import inspect
from collections.abc import Callable, Mapping

import numpy as np

from kdjax import contracts
from kdjax.contracts import InputError, nearest
from kdjax.experiment.builders import guarded
from kdjax.experiment.data import Data, keep_digest, read_keep
from kdjax.experiment.denominators import takes_denominator
from kdjax.experiment.fields import check_value, plain
from kdjax.experiment.influence import Influence, takes_influence
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.selection import detectors, evidence, fine, mixture
from kdjax.training.state import SelectionSchedule

NEVER = float("inf")


def every_sample() -> None:
    """All samples, all the time."""


@takes_denominator
def from_file(*, path: str, images: Data) -> SelectionSchedule:
    """The samples that `python -m kdjax select` keeps."""
    keep = read_keep(path, "config.selection.path", images.train)
    return _fixed(keep, keep_digest(keep))


@takes_denominator
def at_random(
    *, keep_ratio: float, seed: int | None = None, images: Data, run_seed: int
) -> SelectionSchedule:
    """The control: a share of the samples, at random.

    Args:
      seed: of the draw; None for the student's own, so that a mean over seeds is one
        over draws too.
    """
    count, seed = len(images.train.label), run_seed if seed is None else seed
    return _fixed(detectors.at_random(count, ratio=keep_ratio, seed=seed).keep)


@takes_denominator
def by_detector(
    *,
    images: Data,
    detector: str,
    first_epoch: float,
    every_epochs: float = 0.0,
    parameters: dict | None = None,
) -> SelectionSchedule:
    """Labels that are clean by the student's own outputs so far.

    Args:
      detector: clk, same or fine, with its `parameters`.
      first_epoch: above 0; until then all samples count. FINE's authors warm up for 40.
      every_epochs: between two selections; 0 for a single one.
    """
    detect = named_detector("selection", detector, parameters)
    _check_trained("first_epoch", first_epoch)
    labels = images.train.label

    def compute(outputs, sample_info):
        # As FINE's authors do: directions come from the last selection.
        return _recorded(detect(as_one(outputs, labels), sample_info["selection"] > 0))

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
      warmup_epochs: before the first division, above 0; the method's own number.
      detector: clk, same or fine, with its `parameters`, whose set is intersected; ""
        for the losses alone.
      probability: that a label is clean, by the "loss", as DivideMix does; by "fine",
        as F-DivideMix does; or "kept", 1 for what the detector keeps.
      threshold: on that probability.
      every_epochs: between two divisions.
    """
    detect = named_detector("selection", detector, parameters) if detector else None
    choices = tuple(PROBABILITIES)
    check_value("selection.probability", str, probability, choices=choices)
    contracts.fraction("dividemix", "threshold", threshold)
    _check_trained("warmup_epochs", warmup_epochs)
    labels = images.train.label

    def weights(outputs, network):
        arrays = (outputs[name][:, network] for name in ("logits", "features"))
        own = evidence.Evidence(*arrays, labels)
        keep = detect(own).keep if detect else np.ones(len(labels), bool)
        clean = PROBABILITIES[probability](own)
        return mixture.labelled_weights(clean, keep, threshold)

    def compute(outputs, sample_info):
        # Each network is trained on the set that the other one divides.
        columns = [weights(outputs, other) for other in (1, 0)]
        return {"clean": np.stack(columns, 1).astype(np.float32)}

    return SelectionSchedule(
        first_epoch=warmup_epochs,
        every_epochs=every_epochs,
        start={"clean": np.zeros((len(labels), 2), np.float32)},
        compute=compute,
    )


@takes_denominator
@takes_influence
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
    **influence,
) -> SelectionSchedule:
    """Data selection (Lan et al., arXiv:2404.03693): the teacher where it helps.

    Args:
      data: `Data.identity` of the run.
      reference: workdir of the network that the first scores are about, such as the
        same student trained on labels; "" for the student itself at `first_epoch`.
      student: of the reference's run, where it trained several.
      checkpoint: of the reference: latest, best or a step.
      first_epoch: before it all samples are selected.
      every_epochs: between two selections, the later ones by the student itself; 0 for
        a single one.
      **influence: of `kdjax.experiment.influence.Influence`.
    """
    rule, trained = Influence(**influence), None
    if not reference and not first_epoch:
        raise InputError(
            "selection: expected reference, the workdir of a trained network, or "
            "first_epoch above 0: an untrained student's gradients say nothing."
        )
    if rule.estimator == "gradient_dot":
        raise InputError(
            "selection.estimator gradient_dot needs several checkpoints of a run; "
            "expected `python -m kdjax select` and config.selection.name = 'file'."
        )
    if rule.wants_teacher and teacher is None:
        raise InputError("selection: teacher_influence needs config.teacher.workdir.")
    if reference:
        section = {"workdir": reference, "student": student, "checkpoint": checkpoint}
        trained = load_trained("config.selection.reference", section, data)
        if "networks" in trained.identity:
            raise InputError(
                f"selection.reference: {trained.identity['workdir']} trained several "
                "networks at once; expected a single one, for its last layer is "
                "examined."
            )

    def compute(outputs, sample_info):
        return _recorded(rule.keep(images, [outputs], outputs.get("teacher_logits")))

    return SelectionSchedule(
        first_epoch=first_epoch,
        every_epochs=every_epochs,
        start={"selection": np.ones(len(images.train.label), np.float32)},
        compute=compute,
        reference=(trained.network, trained.variables) if trained else None,
        wants_teacher=rule.wants_teacher,
        digest=trained.identity["digest"] if trained else "",
    )


def _check_trained(key: str, epoch: float) -> None:
    """Refuses a student's own outputs as evidence before its first step."""
    if not epoch > 0:
        raise InputError(
            f"selection: {key} is {epoch:g}; expected a number above 0: an untrained "
            "student's outputs say nothing of labels."
        )


def _recorded(result: evidence.SelectionResult) -> dict[str, np.ndarray]:
    """What a run trains on, and for its report the scores that it comes from."""
    return {"selection": result.keep.astype(np.float32), "score": result.score}


def check_values(path: str, section: Mapping) -> None:
    """Refuses numbers of a selection before the networks that it needs are trained."""
    if section["name"] == "influence":
        keys = section.keys() & inspect.signature(Influence).parameters.keys()
        guarded(path, Influence, **{key: section[key] for key in keys})
    elif section["name"] == "detector":
        named_detector(path, section["detector"], section.get("parameters"))


def named_detector(path: str, name: str, parameters: dict | None) -> Callable:
    """A detector with its parameters set."""
    choices = tuple(detectors.DETECTORS)
    check_value(f"{path}.detector", str, name, choices=choices)
    parameters, detect = plain(parameters or {}), detectors.DETECTORS[name]
    takes = list(inspect.signature(detect).parameters)[1:]
    takes_basis = "basis" in takes  # which the run gives
    takes = [key for key in takes if key != "basis"]
    for key in parameters:
        if key not in takes:
            raise InputError(
                f"{path}.parameters.{key} is not a parameter of {name}; it takes "
                f"{', '.join(takes) or 'nothing'}." + nearest(key, takes)
            )

    if parameters:  # their values, before hours of training
        guarded(f"{path}.parameters", detect, _example(), **parameters)

    def run(outputs: evidence.Evidence, basis: np.ndarray | None = None):
        basis = {"basis": basis} if takes_basis and basis is not None else {}
        return detect(outputs, **basis, **parameters)

    return run


def _example() -> evidence.Evidence:
    """Of two classes, for detectors to be called with."""
    numbers = np.random.default_rng(0).normal(size=(2, 16, 2)).astype(np.float32)
    return evidence.Evidence(*numbers, np.arange(16, dtype=np.int32) % 2)


def as_one(outputs: dict, labels: np.ndarray) -> evidence.Evidence:
    """Of peers the mean logits, and their features side by side."""
    logits, features = outputs["logits"], outputs["features"]
    if logits.ndim == 3:
        logits, features = logits.mean(1), features.reshape(len(labels), -1)
    return evidence.Evidence(logits, features, labels)


PROBABILITIES = {
    "loss": lambda outputs: mixture.clean_probability(evidence.losses(outputs)),
    "fine": lambda outputs: fine.aligned_probability(
        fine.alignment(outputs), outputs.labels
    ),
    "kept": lambda outputs: np.ones(len(outputs.labels)),
}


def _fixed(keep: np.ndarray, digest: str = "") -> SelectionSchedule:
    """Selected before the run, and never again."""
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
