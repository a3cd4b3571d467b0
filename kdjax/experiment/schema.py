"""Every key of a config, once: its type, default, limits and meaning.

Sections with a `name` have the arguments of the builder that it names. The ConfigDict
of config files, all checks, the JSON of a run and docs/config.md, which
`python -m kdjax.experiment.schema` prints, are derived from the classes here.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import InputError, nearest
from kdjax.experiment import fields
from kdjax.experiment.fields import LARGEST_SEED, jsonable, key, plain, section

LONGEST_NAME = 200  # of a student, which has directories; of 255 bytes at most
PAGE = """# Keys of a config

`kdjax.experiment.schema.base()` has them all; a config file changes some, as does
`--config.KEY=VALUE` on the command line. A section with a `name` also takes the
arguments of what it names. Those with a * may change between two starts of a run.

| key | default | value | meaning |
|---|---|---|---|
"""
FEEDS = ("auto", "resident", "streamed")
VARIED = "builder variant"
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
SGD |= {"decay_norm_and_bias": False, "clip_norm": 0.0}
COSINE = {"name": "cosine", "learning_rate": 0.1, "warmup_epochs": 0.0}


@section
class Crops:
    size: int = key(224, "side in pixels of what a network sees", low=1)
    short_side: int = key(256, "of an image, before evaluation's central crop", low=1)
    smallest_area: float = key(0.08, "share of an image", low=0, high=1, above=True)
    sizes: tuple = key((), "(from epoch, side) of training crops that grow")


@section
class Data:
    name: str = key("", "of a TFDS data set, or an .npz file")
    data_dir: str = key("", "else $TFDS_DATA_DIR or ~/tensorflow_datasets", free=True)
    train: str = key("train", "split to train on, such as train[:90%]")
    test: str = key("test", "split to evaluate on")
    padding: int | None = key(None, "before a crop; None: as usual for it", low=0)
    flip: bool | None = key(None, "mirror at random; None: usual for the set")
    mean: tuple[float, ...] = key((), "of each channel, of pixels scaled to [0, 1]")
    std: tuple[float, ...] = key((), "of each channel", low=0, above=True)
    feed: str = key(
        "auto",
        "resident: on the devices. streamed: decoded from a TFDS set while it trains, "
        "with random resized crops. auto: streamed from 4 GiB on disk upwards",
        choices=FEEDS,
    )
    crops: Crops = key(Crops, "of a streamed set", marks="partial")
    threads: int = key(0, "decoding in each process; 0: one a core", low=0, free=True)
    skip_at_most: int = key(100, "unreadable images of a host", low=0, free=True)
    mixup: float = key(
        0.0,
        "alpha of mixup; 0: none, 1: two images in any ratio. Teacher and students see "
        "the same mixtures; cross entropy is with both labels",
        low=0,
        high=100,
    )
    cutmix: float = key(
        0.0,
        "alpha of CutMix, a box of another image in each; 0: none, 1: boxes of any "
        "size. With mixup too each sample has one of the two, either as likely",
        low=0,
        high=100,
    )
    noise: dict = key({"name": "none"}, "of training labels", marks="builder")
    keep: str = key("", "selection.npz: trains on what it keeps alone", free=True)


@section
class Teacher:
    workdir: str = key("", "of its run; several with commas: an ensemble", free=True)
    student: str = key("", "which network of that run, where it trained several")
    checkpoint: str | int = key("latest", "latest, best or a step", low=0)
    network: str = key("", "instead of a run: package.module:function")
    cache: str = key("", "--workdir of `cache`: its outputs, written down", free=True)
    input_size: tuple[int, ...] = key((), "(height, width), if its own", low=1)
    resize: str = key("bilinear", "to input_size: bilinear, bicubic or lanczos3")
    classes: str = key("", "file of its classes, one a line, if it has others")


@section
class Initial:
    workdir: str = key("", "run whose weights training begins with", free=True)
    student: str = key("", "which network of that run, where it trained several")
    checkpoint: str | int = key("latest", "latest, best or a step", low=0)
    parts: str = key(
        "all",
        "weights: of the network; connectors: those of its method that this one has "
        "under the same names; all: both",
        choices=("all", "weights", "connectors"),
    )


@section
class Evaluation:
    every_epochs: float = key(1.0, "a checkpoint follows; 0: only at the end", low=0)
    every_steps: int = key(0, "instead of every_epochs, where above 0", low=0)
    batch_size: int = key(
        0,
        "over all devices; 0: 250 images on each accelerator, 500 in each process on "
        "CPUs",
        low=0,
        free=True,
    )
    on_train: bool = key(False, "also of the training split")
    keep_all: bool = key(
        False, "keep the checkpoint of each, not just two and the best", free=True
    )


@section
class Checkpoint:
    every_steps: int = key(
        0, "of the state, between evaluations; 0: not by steps", low=0, free=True
    )
    every_minutes: float = key(
        10.0,
        "the same by the clock of the first process, at the next row of metrics; 0: "
        "not by the clock",
        low=0,
        free=True,
    )


@section
class Published:
    top1: float = key(0.0, "percent; 0: none", low=0, high=100, free=True)
    source: str = key("", "where it stands", free=True)
    method: str = key("", "the students of it, ...", free=True)
    model: str = key("", "... with this network, ...", free=True)
    teacher: str = key("", "... of a teacher with this one (empty: any) ...", free=True)
    recipe: str = key(
        "",
        "... and of this digest have the number: of model, method, selection, data, "
        "optimizer, schedule and length, by `put_published`; empty: of any",
        free=True,
    )


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
        SGD, "sgd, adamw, lars, lamb or package.module:function", marks="builder"
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
    stop_at_train_top1: float = key(0.0, "percent; 0: never", low=0, high=100)
    published: Published = key(Published, "a number to show beside the run's own")
    log_every_steps: int = key(50, "between rows of metrics", low=1, free=True)
    tensorboard: bool = key(True, "metrics for TensorBoard too", free=True)
    stages: dict = key({}, "name -> what differs from the rest of it", marks="open")
    order: tuple[str, ...] = key((), "of the stages; stage:NAME is the workdir of one")
    select: dict = key(
        {},
        "instead of training: detector, influence, oracle or random",
        free=("proxies", "reference", "as_many_as"),
        marks="open",
    )


# Keys of earlier versions, and why they went.
RETIRED = {"stacked": "each student has its own copy of a network in the program"}


def _marked(mark: str) -> tuple[str, ...]:
    every = (field for _, field, _ in fields.keys(Config))
    return tuple(one.name for one in every if mark in one.metadata["marks"].split())


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
    for name, student in config["students"].items():
        path = f"config.students.{name}"
        fields.check_value(path, dict, student)
        if len(name) > LONGEST_NAME:
            raise InputError(
                f"config.students: {name!r} names a directory; expected at most "
                f"{LONGEST_NAME} letters."
            )
        for inner in student:
            if inner not in VARIANT:
                raise InputError(
                    f"{path}.{inner} is not read; a student may set "
                    f"{', '.join(VARIANT)}." + nearest(inner, VARIANT)
                )
        fields.check_section(path, Config, student, partial=True)


def is_free(name: str) -> bool:
    """Whether a dotted key may change between two starts of a run."""
    own = name.startswith("students.")  # selection.path of a student is free as well
    return any(name == one or (own and name.endswith(f".{one}")) for one in FREE)


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
