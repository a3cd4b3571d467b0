"""Every key of a config, once: its type, default, limits and meaning.

Sections with a `name` have the arguments of the builder that it names. The ConfigDict
of config files, all checks, the JSON of a run and docs/config.md, which
`python -m kdjax.experiment.schema` prints, are derived from the classes here and in
`sections`.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import InputError, nearest, shown
from kdjax.experiment import fields
from kdjax.experiment.fields import LARGEST_SEED, jsonable, key, plain, section
from kdjax.experiment.sections import (
    Checkpoint,
    Data,
    Evaluation,
    Guards,
    Initial,
    Published,
    Teacher,
)

LONGEST_NAME = 200  # of a student, which has directories; of 255 bytes at most
PAGE = """# Keys of a config

`kdjax.experiment.schema.base()` has them all; a config file changes some, as does
`--config.KEY=VALUE` on the command line. A section with a `name` also takes the
arguments of what it names. Those with a * may change between two starts of a run.

| key | default | value | meaning |
|---|---|---|---|
"""
VARIED = "builder variant"
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
SGD |= {"decay_norm_and_bias": False, "clip_norm": 0.0}
COSINE = {"name": "cosine", "learning_rate": 0.1, "warmup_epochs": 0.0}


@section
class Config:
    seed: int = key(0, "of all randomness", low=0, high=LARGEST_SEED, marks="variant")
    model: dict = key({"name": ""}, "or package.module:function", marks=VARIED)
    method: dict = key({"name": ""}, "of distillation, or of training", marks=VARIED)
    selection: dict = key(
        {"name": "all"},
        "samples selected for the teacher, or for training where there is none: all, "
        "file, random, detector, influence or dividemix",
        free=("path", "reference"),
        marks=VARIED,
    )
    students: dict = key({}, "name -> model, method, selection, seed", marks="open")
    batch_norm: str = key(
        "global",
        "moments in training: global, of the whole batch, the same on any number of "
        "devices; device, of each device's part, as most data-parallel training does",
        choices=("global", "device"),
    )
    teacher: Teacher = key(Teacher, "the trained network that students learn from")
    initial: Initial = key(Initial, "the weights that training begins with")
    data: Data = key(Data, "images and labels")
    batch_size: int = key(128, "of an update, over all devices", low=1)
    accumulation_steps: int = key(
        1,
        "microbatches of an update, on accelerators one in memory at a time; batch "
        "norms, and what else looks at several samples, see one of them",
        low=1,
    )
    total_epochs: float = key(200.0, "length of the run", low=0)
    total_steps: int = key(0, "length of the run instead, where above 0", low=0)
    optimizer: dict = key(
        SGD,
        "sgd, adamw, lars, lamb or package.module:function; any of them takes "
        "head_rate too, how many times the schedule's rate the last layer has",
        marks="builder",
    )
    schedule: dict = key(
        COSINE,
        "step, cosine, constant, linear, polynomial or one_cycle",
        marks="builder",
    )
    ema_decay: float = key(
        0.0,
        "of an average of each student's weights, such as 0.9999; it is what is "
        "evaluated, kept as best, exported and read as a teacher. 0: none",
        low=0,
        high=0.999999,
    )
    evaluation: Evaluation = key(Evaluation, "of all networks, each with a checkpoint")
    checkpoint: Checkpoint = key(Checkpoint, "more of them, for a run that is stopped")
    guards: Guards = key(Guards, "against updates that would be nonsense")
    stop_at_train_top1: float = key(0.0, "percent; 0: never", low=0, high=100)
    published: Published = key(Published, "a number to show beside the run's own")
    log_every_steps: int = key(50, "between rows of metrics", low=1, free=True)
    tensorboard: bool = key(True, "metrics for TensorBoard too", free=True)
    trackers: tuple[str, ...] = key(
        (),
        "metrics for these experiment trackers too",
        choices=("wandb", "mlflow"),
        free=True,
    )
    stages: dict = key({}, "name -> what differs from the rest of it", marks="open")
    order: tuple[str, ...] = key((), "of the stages; stage:NAME is the workdir of one")
    allow_code: tuple[str, ...] = key(
        (),
        "package.module:function that a workdir read here may name: networks of one's "
        "own that a teacher, or another source, was trained with",
        free=True,
    )
    select: dict = key(
        {},
        "instead of training: detector, influence, oracle, random or "
        "without_validation",
        free=("proxies", "reference", "as_many_as"),
        marks="open",
    )


# Keys of earlier versions, and why they went.
RETIRED = {"stacked": "each student has its own copy of a network in the program"}


def _marked(mark: str) -> tuple[str, ...]:
    every = (field for _, field, _ in fields.keys(Config))
    return tuple(one.name for one in every if mark in one.metadata["marks"].split())


SECTIONS = [
    one
    for one in dataclasses.fields(Config)
    if one.type is dict or dataclasses.is_dataclass(one.type)
]
OPEN, VARIANT, BUILDERS = _marked("open"), _marked("variant"), _marked("builder")
FREE = tuple(
    f"{path}.{argument}" if argument else path
    for path, field, _ in fields.keys(Config)
    for argument in field.metadata["free"]
)


def nested() -> dict:
    """The defaults as dicts of one's own."""
    return dataclasses.asdict(Config())


def base():
    """The defaults as a ConfigDict, which config files change."""
    from ml_collections import ConfigDict  # here, so that `nested` does without

    return ConfigDict(nested())


def resolved(config: Any) -> dict:
    """A config as JSON holds it."""
    return jsonable(plain(config))


def with_defaults(stored: Mapping, kind: type = Config) -> dict:
    """A config as an earlier version stored it, and defaults for the keys since then.

    Builders' arguments stay as they are.
    """
    rest = {name: value for name, value in stored.items() if name not in RETIRED}
    for one in dataclasses.fields(kind):
        if dataclasses.is_dataclass(one.type):
            rest[one.name] = with_defaults(rest.get(one.name, {}), one.type)
    return jsonable(dataclasses.asdict(kind())) | rest


def check_keys(config: dict) -> None:
    """Refuses keys that are missing or not read, and values that do not fit."""
    for name in config.keys() & RETIRED.keys():
        raise InputError(f"config.{name} is not read any more: {RETIRED[name]}.")
    fields.check_section("config", Config, config)
    fields.check_json("config", config)
    for name, student in config["students"].items():
        path = f"config.students.{name}"
        if len(name) > LONGEST_NAME:  # before anything is said of it
            raise InputError(
                f"config.students: {shown(name)} names a directory; expected at most "
                f"{LONGEST_NAME} letters."
            )
        fields.check_value(path, dict, student)
        for inner in student:
            if inner not in VARIANT:
                inner = inner[: fields.LONGEST_NAME]
                raise InputError(
                    f"{path}.{inner} is not read; a student may set "
                    f"{', '.join(VARIANT)}." + nearest(inner, VARIANT)
                )
        fields.check_section(path, Config, student, partial=True)


def is_free(name: str) -> bool:
    """Whether a dotted key may change between two starts of a run."""
    own = name.startswith("students.")  # selection.path of a student is free as well
    return any(name == one or (own and name.endswith(f".{one}")) for one in FREE)


def data_of_all_hosts(config: Mapping) -> dict[str, Any]:
    """What hosts must have in common of config.data: not where it lies, nor threads."""
    return {
        f"config.data.{key}": value
        for key, value in config["data"].items()
        if not is_free(f"data.{key}")
    }


def page() -> str:
    """docs/config.md."""
    rows = []
    for name, field, default in fields.keys(Config):
        limits, choices = field.metadata["limits"], field.metadata["choices"]
        kind = ", ".join(choices) or fields.describe(field.type, limits)
        star, text = "*" * (name in FREE), field.metadata["text"]
        default = json.dumps(jsonable(default))
        rows.append(f"| `{name}`{star} | `{default}` | {kind} | {text} |\n")
    return PAGE + "".join(rows)


if __name__ == "__main__":
    print(page(), end="")
