"""Selects training samples once; writes selection.npz and selection.json.

Each selector returns what it keeps, and the digests of the networks or selections that
it was made from.
"""

import json
import pathlib

import numpy as np

from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.experiment import builders, schema
from kdjax.experiment.data import KEEP, Data, keep_digest, load_data, read_keep
from kdjax.experiment.influence import Influence, takes_influence
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.selection import as_one, named_detector
from kdjax.experiment.teachers import load_teacher
from kdjax.runner.workdir import SELECTION, write_config, write_json
from kdjax.selection import detectors, statistics
from kdjax.selection.evidence import SelectionResult
from kdjax.training.evaluator import answers

# Keys of selection.json in earlier versions.
RENAMED = {"asked": "sources", "found": "agreement"}


def select(config: dict, workdir: pathlib.Path) -> None:
    """Runs the selector that a plain config names; replaces what is in the workdir.

    Raises:
      InputError: with the dotted path of what does not fit.
    """
    schema.check_keys(config)
    write_config(workdir, schema.resolved(config))
    images, section = load_data(config["data"]), config["select"]
    record = {"select": schema.jsonable(section), "data": images.identity}
    collectives.assert_equal("this selection", record)
    facts = {"images": images, "config": config}
    result, sources = builders.call_named("config.select", SELECTORS, section, **facts)
    collectives.assert_equal("this selection", sources)
    labels = images.train.label
    record |= {
        "sources": sources,
        "samples": len(labels),
        "kept": int(result.keep.sum()),
    }
    if "noise" in images.train.identity:
        record |= {
            "agreement": statistics.agreement(result.keep, labels, images.true_labels),
            "keep_all": statistics.keep_all(labels, images.true_labels),
        }
    if collectives.is_primary():
        part = workdir / "selection.part.npz"
        np.savez_compressed(part, keep=result.keep, score=result.score, labels=labels)
        part.replace(workdir / KEEP)
    # The description comes last: where it is, the selection is whole.
    write_json(workdir / SELECTION, record)
    collectives.log(_sentence(record))


def read_selection(workdir: pathlib.Path) -> dict:
    """selection.json of this version or the one before, with the keys of this one."""
    record = json.loads((workdir / SELECTION).read_text())
    return {RENAMED.get(key, key): value for key, value in record.items()}


def check(path: str, section: dict) -> None:
    """Checks a selector's section before the networks that it needs are trained."""
    build = builders.named(path, SELECTORS, section)
    facts = {"images": None, "config": None}
    arguments = builders.check_arguments(path, build, section, facts)
    if section["name"] == "detector":
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
    """Labels that are clean by the outputs of trained proxies.

    Args:
      images: whose labels are in question.
      config: of the run.
      detector: clk, same or fine.
      proxies: workdirs, separated by commas; what all of them keep is kept. A later
        proxy's directions come from the samples kept so far (Kim et al. 2021).
      student: of the proxies' runs, where they trained several.
      checkpoint: latest, best or a step.
      parameters: of the detector.
    """
    detect = named_detector("config.select", detector, parameters)
    result, digests = None, []
    for proxy in proxies.split(","):
        section = {"workdir": proxy.strip(), "student": student}
        trained = _load(section | {"checkpoint": checkpoint}, images.identity)
        digests.append(trained.identity["digest"])
        outputs = as_one(_outputs(trained, images, config), images.train.label)
        if result is None:
            result = detect(outputs, None)
            continue
        own = detect(outputs, result.keep)
        keep = detectors.intersection(result.keep, own.keep)
        result = SelectionResult(keep, np.minimum(result.score, own.score))
    return result, {"proxies": digests}


def by_oracle(*, images: Data) -> tuple[SelectionResult, dict]:
    """Exactly the right labels: the upper bound, where the true ones are known."""
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
        result = detectors.at_random(count, count=int(other.sum()), seed=seed)
        return result, {"as_many_as": keep_digest(other)}
    result = detectors.at_random(count, ratio=keep_ratio, seed=seed)
    return result, {"as_many_as": None}


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
      config: of the run; "teacher_influence" uses its teacher.
      reference: workdir of the network that the scores are about.
      student: of the reference's run, where it trained several.
      checkpoints: of the reference; for "gradient_dot" several steps, with commas.
      learning_rates: at those steps, as many.
      **influence: of `kdjax.experiment.influence.Influence`.
    """
    rule = Influence(**influence)
    steps, learning_rates = each_step(checkpoints), _tuple(learning_rates)
    if len(learning_rates) not in (0, len(steps)):
        raise InputError(
            f"config.select: {len(steps)} checkpoints and {len(learning_rates)} "
            "learning_rates; expected as many."
        )
    outputs, sources, data = [], {"reference": []}, images.identity
    for step in steps:
        section = {"workdir": reference, "student": student, "checkpoint": step}
        trained = _load(section, data)
        sources["reference"].append(trained.identity["digest"])
        outputs.append(_outputs(trained, images, config))
    teacher_logits = None
    if rule.wants_teacher:
        teacher = load_teacher(config["teacher"], data)
        if teacher is None:
            raise InputError(
                "config.select: teacher_influence needs config.teacher.workdir."
            )
        collectives.assert_equal("this selection's teacher", teacher.identity)
        sources["teacher"] = teacher.identity["digest"]
        logits = _outputs(teacher, images, config, needs_features=False)["logits"]
        teacher_logits = logits if logits.ndim == 2 else logits.mean(1)
    return rule.keep(images, outputs, teacher_logits, learning_rates), sources


def each_step(checkpoints: str | int | tuple) -> list[str]:
    """The steps that `checkpoints` names: one, several, or a text with commas."""
    given = checkpoints.split(",") if isinstance(checkpoints, str) else checkpoints
    return [str(step).strip() for step in _tuple(given)]


def _tuple(values) -> tuple:
    return tuple(values) if isinstance(values, list | tuple) else (values,)


def _load(section: dict, data: dict) -> Teacher:
    """A trained network; all processes have taken the same step of it."""
    trained = load_trained("config.select", section, data)
    collectives.assert_equal("this selection's network", trained.identity)
    return trained


def _outputs(
    trained: Teacher, images: Data, config: dict, needs_features: bool = True
) -> dict[str, np.ndarray]:
    """Outputs on the training images, without crops, in order."""
    rows, normalise = config["evaluation"]["batch_size"], images.augment.evaluate
    network, variables = trained.network, trained.variables
    return answers(network, variables, normalise, images.train, rows, needs_features)


def _sentence(record: dict) -> str:
    text = f"selected {record['kept']:,} of {record['samples']:,} samples"
    if "agreement" not in record:
        return text
    scores, keep_all = record["agreement"], record["keep_all"]
    return (
        f"{text}: precision {scores['precision']:.3f}, recall {scores['recall']:.3f}, "
        f"F1 {scores['f1']:.3f} (keep all: {keep_all['f1']:.3f}), specificity "
        f"{scores['specificity']:.3f}"
    )


SELECTORS = {
    "detector": by_detector,
    "influence": by_influence,
    "oracle": by_oracle,
    "random": at_random,
}
