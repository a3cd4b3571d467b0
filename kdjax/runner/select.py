"""Chooses training samples once, and writes selection.npz and selection.json.

Each selector returns what it keeps, and the digests of whom it asked.
"""

import pathlib

import numpy as np

from kdjax.contracts import InputError, nearest
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.experiment.data import KEEP, Data, keep_digest, load_data, read_keep
from kdjax.experiment.influence import Influence, takes_influence
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.selection import as_one, named_detector
from kdjax.experiment.teachers import load_teacher
from kdjax.runner import workdir as workdirs
from kdjax.selection import detectors, statistics
from kdjax.selection.evidence import SelectionResult
from kdjax.training.evaluator import answers


def select(config: dict, workdir: pathlib.Path) -> dict:
    """Runs the selector that `config.select` names; returns what selection.json holds.

    Args:
      config: plain; data (with its noise), select and evaluation are read.
      workdir: exists; what is written there replaces what was.

    Raises:
      InputError: with the dotted path of what does not fit.
    """
    schema.check_keys(config)
    workdirs.write_config(workdir, schema.resolved(config))
    images = load_data(config["data"])
    section = config["select"]
    same = {"select": schema.jsonable(section), "data": images.identity}
    collectives.assert_equal("this selection", same)
    known = {"images": images, "config": config}
    kept, asked = schema.call_named("config.select", SELECTORS, section, **known)
    collectives.assert_equal("this selection", asked)
    labels = images.train.label
    told = {
        "select": schema.jsonable(section),
        "asked": asked,
        "data": images.identity,
        "samples": len(labels),
        "kept": int(kept.keep.sum()),
    }
    if "noise" in images.train.identity:
        told |= {
            "found": statistics.agreement(kept.keep, labels, images.true_labels),
            "keep_all": statistics.keep_all(labels, images.true_labels),
        }
    if collectives.is_primary():
        part = workdir / "selection.part.npz"
        np.savez_compressed(part, keep=kept.keep, score=kept.score, labels=labels)
        part.replace(workdir / KEEP)
    # The description comes last: where it is, the selection is whole.
    workdirs.write(workdir / workdirs.SELECTION, told)
    collectives.log(_sentence(told))
    return told


def check(path: str, section: dict) -> None:
    """What can be known of a selector before the networks that it asks are trained.

    Raises:
      InputError: an unknown selector, argument or detector.
    """
    name = section.get("name")
    if name not in SELECTORS:
        raise InputError(
            f"{path}.name is {name!r}; expected one of {', '.join(SELECTORS)}."
            + nearest(str(name), SELECTORS)
        )
    arguments = {key: value for key, value in section.items() if key != "name"}
    known = {"images": None, "config": None}
    schema.check_arguments(path, name, SELECTORS[name], arguments, known)
    if name == "detector":
        named_detector(path, arguments["detector"], arguments.get("parameters"))


def by_detector(
    *,
    images: Data,
    config: dict,
    detector: str,
    proxies: str,
    student: str = "",
    checkpoint: str = "latest",
    parameters: dict | None = None,
) -> tuple[SelectionResult, dict]:
    """Labels that trained proxies hold to be clean: CLK, SAME or FINE.

    Args:
      images: whose labels are in question.
      config: of the run; its evaluation.batch_size is read.
      detector: clk, same or fine.
      proxies: workdirs, separated by commas; what all of them keep is kept. A later
        proxy's directions come from the samples kept so far (Kim et al. 2021).
      student: of the proxies' runs, where they trained several.
      checkpoint: latest, best or a step.
      parameters: of the detector.
    """
    detect = named_detector("config.select", detector, parameters)
    kept, digests = None, []
    for proxy in proxies.split(","):
        who = {"workdir": proxy.strip(), "student": student, "checkpoint": checkpoint}
        trained = _trained(who, images.identity)
        digests.append(trained.identity["digest"])
        said = as_one(_answers(trained, images, config), images.train.label)
        found = detect(said, None if kept is None else kept.keep)
        if kept is not None:
            keep = detectors.intersection(kept.keep, found.keep)
            found = SelectionResult(keep, np.minimum(kept.score, found.score))
        kept = found
    return kept, {"proxies": digests}


def by_oracle(*, images: Data) -> tuple[SelectionResult, dict]:
    """Exactly the right labels: the upper bound, where the truth is known."""
    return detectors.oracle(images.train.label, images.true_labels), {}


def at_random(
    *, images: Data, keep_ratio: float = 0.0, as_many_as: str = "", seed: int = 0
) -> tuple[SelectionResult, dict]:
    """The control: a share of the samples, or as many as another selection kept."""
    count = len(images.train.label)
    if bool(keep_ratio) == bool(as_many_as):
        raise InputError(
            "config.select: expected one of keep_ratio and as_many_as, the directory "
            "of another selection."
        )
    if as_many_as:
        other = read_keep(as_many_as, "config.select.as_many_as", images.train)
        kept = detectors.at_random(count, count=int(other.sum()), seed=seed)
        return kept, {"as_many_as": keep_digest(other)}
    kept = detectors.at_random(count, ratio=keep_ratio, seed=seed)
    return kept, {"as_many_as": None}


@takes_influence
def by_influence(
    *,
    images: Data,
    config: dict,
    reference: str,
    student: str = "",
    checkpoints: str | int | tuple = "latest",
    learning_rates: float | tuple[float, ...] = (),
    **influence,
) -> tuple[SelectionResult, dict]:
    """Samples on which the teacher helps, or that matter, by influence scores.

    Args:
      images: whose training split is scored.
      config: of the run; its teacher is asked by "teacher_influence".
      reference: workdir of the network that the scores are about.
      student: of the reference's run, where it trained several.
      checkpoints: of the reference; for "gradient_dot" several steps, with commas.
      learning_rates: at those steps, as many.
      **influence: see `kdjax.experiment.influence.Influence`.
    """
    rule = Influence(**influence)
    steps = each_step(checkpoints)
    learning_rates = _tuple(learning_rates)
    if len(learning_rates) not in (0, len(steps)):
        raise InputError(
            f"config.select: {len(steps)} checkpoints and {len(learning_rates)} "
            "learning_rates; expected as many."
        )
    who, data = {"workdir": reference, "student": student}, images.identity
    said, asked = [], {"reference": []}
    for step in steps:
        trained = _trained(who | {"checkpoint": step}, data)
        asked["reference"].append(trained.identity["digest"])
        said.append(_answers(trained, images, config))
    teacher_outputs = None
    if rule.wants_teacher:
        teacher = load_teacher(config["teacher"], data)
        if teacher is None:
            raise InputError(
                "config.select: teacher_influence needs config.teacher.workdir."
            )
        collectives.assert_equal("this selection's teacher", teacher.identity)
        asked["teacher"] = teacher.identity["digest"]
        teacher_outputs = _answers(teacher, images, config, needs_features=False)[
            "logits"
        ]
        teacher_outputs = (
            teacher_outputs if teacher_outputs.ndim == 2 else teacher_outputs.mean(1)
        )
    return rule.keep(images, said, teacher_outputs, learning_rates), asked


def each_step(checkpoints: str | int | tuple) -> list[str]:
    """The steps that `checkpoints` names: one, several, or a text with commas."""
    given = checkpoints.split(",") if isinstance(checkpoints, str) else checkpoints
    return [str(step).strip() for step in _tuple(given)]


def _tuple(values) -> tuple:
    return tuple(values) if isinstance(values, list | tuple) else (values,)


def _trained(who: dict, data: dict) -> Teacher:
    """A network to ask; all processes have taken the same step of it."""
    trained = load_trained("config.select", who, data)
    collectives.assert_equal("this selection's network", trained.identity)
    return trained


def _answers(
    trained: Teacher, images: Data, config: dict, needs_features: bool = True
) -> dict[str, np.ndarray]:
    """What a trained network says of the training images, without crops, in order."""
    rows = config["evaluation"]["batch_size"]
    held = trained.network, trained.variables, images.augment.evaluate
    return answers(*held, images.train, rows, needs_features)


def _sentence(told: dict) -> str:
    text = f"selected {told['kept']:,} of {told['samples']:,} samples"
    if "found" not in told:
        return text
    found, everything = told["found"], told["keep_all"]
    return (
        f"{text}: precision {found['precision']:.3f}, recall {found['recall']:.3f}, F1 "
        f"{found['f1']:.3f} (keep all: {everything['f1']:.3f}), specificity "
        f"{found['specificity']:.3f}"
    )


SELECTORS = {
    "detector": by_detector,
    "influence": by_influence,
    "oracle": by_oracle,
    "random": at_random,
}
