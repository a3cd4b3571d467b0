"""Selects training samples once; writes selection.npz and selection.json.

Each selector returns what it keeps, and the digests of what it was made from.
"""

import pathlib

import numpy as np

from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.experiment import builders, schema
from kdjax.experiment.data import KEEP, Data, keep_digest, load_data, read_keep
from kdjax.experiment.influence import Influence, takes_influence
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.selection import as_one, check_values, named_detector
from kdjax.experiment.teachers import load_teacher
from kdjax.paths.json_files import read_json
from kdjax.reporting.files import replace_npz
from kdjax.runner.workdir import SELECTION, write_config, write_record
from kdjax.selection import detectors
from kdjax.selection.evidence import SelectionResult
from kdjax.selection.scores import validation_indices
from kdjax.selection.shares import class_shares, describe_kept
from kdjax.training.evaluator import answers

SCORES = ("precision", "recall", "f1", "specificity")  # that are printed
# Keys of selection.json in earlier versions.
RENAMED = {"asked": "sources", "found": "agreement"}


def select(config: dict, workdir: pathlib.Path) -> None:
    """Runs the selector that a plain config names; replaces what is in the workdir."""
    schema.check_keys(config)
    write_config(workdir, schema.resolved(config))
    images, section = load_data(config["data"]), config["select"]
    record = {"select": schema.jsonable(section), "data": images.identity}
    same = record | schema.data_of_all_hosts(config)
    collectives.assert_equal("this selection", same)
    facts = {"images": images, "config": config}
    result, sources = builders.call_named("config.select", SELECTORS, section, **facts)
    collectives.assert_equal("this selection", sources)
    labels, true = images.train.label, images.true_labels
    record |= {"sources": sources, "samples": len(labels)}
    record["kept"] = int(result.keep.sum())
    shares = class_shares(result.keep, labels, images.train.class_names)
    record["kept_of_class"] = shares
    sentence = f"selected {describe_kept(result.keep, shares)}"
    if "noise" in images.train.identity:
        record["agreement"] = detectors.agreement(result.keep, labels, true)
        record["keep_all"] = detectors.keep_all(labels, true)
        scores = [f"{name} {record['agreement'][name]:.3f}" for name in SCORES]
        f1 = record["keep_all"]["f1"]
        sentence += f": {', '.join(scores)} (keep all: f1 {f1:.3f})"
    if collectives.is_primary():
        arrays = {"keep": result.keep, "score": result.score, "labels": labels}
        replace_npz(workdir / KEEP, **arrays)
    # The description comes last: where it is, the selection is whole.
    write_record(workdir / SELECTION, record)
    collectives.log(sentence)


def read_selection(workdir: pathlib.Path) -> dict:
    """selection.json of this version or the one before, with the keys of this one."""
    advice = "The same command selects again where that file is deleted."
    form = {"samples": int, "kept": int, "data": {"train": dict}, "sources?": dict}
    record = read_json(workdir / SELECTION, "a selection", form, advice)
    return {RENAMED.get(key, key): value for key, value in record.items()}


def check(path: str, section: dict) -> None:
    """Checks a selector's section before the networks that it needs are trained."""
    build = builders.named(path, SELECTORS, section)
    facts = {"images": None, "config": None}
    builders.check_arguments(path, build, section, facts)
    check_values(path, section)


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
      detector: clk, same or fine, with these `parameters`.
      proxies: workdirs, separated by commas; what all of them keep is kept. A later
        proxy's directions come from the samples kept so far (Kim et al. 2021).
      student: of the proxies' runs, where they trained several.
      checkpoint: latest, best or a step.
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
    *,
    images: Data,
    config: dict,
    keep_ratio: float = 0.0,
    as_many_as: str = "",
    seed: int | None = None,
) -> tuple[SelectionResult, dict]:
    """The control: a share of the samples, or as many as another selection kept.

    `seed` is that of the draw; None for the seed of the run.
    """
    seed = config["seed"] if seed is None else seed
    if bool(keep_ratio) == bool(as_many_as):
        raise InputError(
            "config.select: expected one of keep_ratio and as_many_as, the directory "
            "of another selection."
        )
    share, digest = {"ratio": keep_ratio}, None
    if as_many_as:
        other = read_keep(as_many_as, "config.select.as_many_as", images.train)
        share, digest = {"count": int(other.sum())}, keep_digest(other)
    result = detectors.at_random(len(images.train.label), **share, seed=seed)
    return result, {"as_many_as": digest}


def without_validation(
    *,
    images: Data,
    validation_fraction: float = Influence.validation_fraction,
    seed: int = Influence.seed,
) -> tuple[SelectionResult, dict]:
    """All but the images that influence stands on: what its reference trains on.

    Both arguments as those of the influence scores: the same draw.
    """
    labels = images.train.label
    keep = np.ones(len(labels), bool)
    keep[validation_indices(labels, validation_fraction, seed=seed)] = False
    return SelectionResult(keep, np.float32(keep)), {}


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
    outputs, sources, teacher_logits = [], {"reference": []}, None
    for step in steps:
        section = {"workdir": reference, "student": student, "checkpoint": step}
        trained = _load(section, images.identity)
        sources["reference"].append(trained.identity["digest"])
        outputs.append(_outputs(trained, images, config))
    if rule.wants_teacher:
        teacher = load_teacher(config["teacher"], images.identity)
        if teacher is None:
            text = "config.select: teacher_influence needs config.teacher.workdir."
            raise InputError(text)
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


SELECTORS = {
    "detector": by_detector,
    "influence": by_influence,
    "oracle": by_oracle,
    "random": at_random,
    "without_validation": without_validation,
}
