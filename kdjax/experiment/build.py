"""A whole training from a config, as objects: for train and compile alike."""

import dataclasses
import math
from typing import TYPE_CHECKING

from kdjax.contracts import InputError, versions
from kdjax.data.load import Split
from kdjax.data.transforms.augment import Augment
from kdjax.experiment import schema
from kdjax.experiment.builders import allows_its_code, call_named
from kdjax.experiment.data import Data, load_data
from kdjax.experiment.pretrained import Teacher
from kdjax.experiment.students import build_students, student_sections
from kdjax.experiment.teachers import load_teacher
from kdjax.training.plan import Plan
from kdjax.training.schedules import SCHEDULES, Schedule
from kdjax.training.state import Student

if TYPE_CHECKING:
    from kdjax.caching.reader import Reader
    from kdjax.experiment.initial import Initial

# That numbers depend on; only some selections cluster.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
PACKAGES += ("scikit-learn",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run needs."""

    plan: Plan
    students: dict[str, Student]
    teacher: Teacher | None
    cache: "Reader | None"  # the teacher's outputs of the training images
    initial: "Initial | None"  # what every student starts with
    data: Data
    seed: int  # of data order and augmentation
    batch_size: int
    evaluation_batch_size: int
    scores_train: bool  # whether evaluation scores the training split too
    keep_all: bool  # whether every checkpoint stays
    tensorboard: bool
    batch_norm: str  # whose moments: "global" or "device"
    accumulation_steps: int  # microbatches of a step
    rates: dict[str, Schedule]  # name in the rows of metrics -> learning rate by step
    config: dict  # resolved, as JSON
    identity: dict  # what every checkpoint says of itself, as JSON

    @property
    def train(self) -> Split:
        return self.data.train

    @property
    def test(self) -> Split:
        return self.data.test

    @property
    def augment(self) -> Augment:
        return self.data.augment

    @property
    def steps_per_epoch(self) -> float:
        return len(self.train.label) / self.batch_size


@allows_its_code
def build(
    config,
    data: Data | None = None,
    *,
    teacher_models: list[dict] | None = None,
    denominators: dict[str, str] | None = None,
    never_runs: bool = False,
) -> Experiment:
    """Builds a training from the ConfigDict or nested dict of one.

    `data` is from `load_data`, or of shapes alone from `describe_data`; None loads it.
    `teacher_models` are `model` sections in place of the config's teacher, whose
    weights are shapes alone; several are an ensemble. `denominators` are those that
    the students of a run to resume began with. What `never_runs`, and is compiled
    alone, begins with no weights, and may lack those that it would need.
    """
    config = schema.plain(config)
    check_single(config)
    batch_size = config["batch_size"]
    begins = bool(config["initial"]["workdir"]) and not never_runs
    data = _images(config, data, begins)
    facts, examples = data.identity, len(data.train.label)
    check_accumulation(config)
    check_guards(config)
    plan = plan_of(config, examples / batch_size)
    teacher, cache = _teacher(config, data, plan, teacher_models)
    sections, length = student_sections(config), plan.total_steps
    students = build_students(config, sections, data, teacher, length, denominators)
    initial = None
    if begins:
        initial = _initial(config["initial"], students, sections, facts)
    if not never_runs:
        check_sources(students, initial, cache is not None)
    return Experiment(
        plan=plan,
        students=students,
        teacher=teacher,
        cache=cache,
        initial=initial,
        data=data,
        seed=config["seed"],
        batch_size=batch_size,
        evaluation_batch_size=config["evaluation"]["batch_size"],
        scores_train=bool(config["evaluation"]["on_train"] or plan.stop_at_train_top1),
        keep_all=bool(config["evaluation"]["keep_all"]),
        tensorboard=bool(config["tensorboard"]),
        batch_norm=config["batch_norm"],
        accumulation_steps=config["accumulation_steps"],
        rates=_rates(config, length, examples / batch_size),
        config=schema.resolved(config),
        identity=_identity(sections, facts, teacher, cache, initial),
    )


def _images(config: dict, data: Data | None, begins: bool) -> Data:
    """What is trained on; normalised as for the weights that the run begins with."""
    data = load_data(config["data"]) if data is None else data
    batch_size, examples = config["batch_size"], len(data.train.label)
    if batch_size > examples:
        raise InputError(
            f"config.batch_size is {batch_size} and the training set has {examples} "
            "images; expected a batch that is no larger."
        )
    if not begins or config["data"]["mean"]:
        return data
    from kdjax.experiment.initial import normalised_as

    return normalised_as(config["initial"], data)


def _rates(config: dict, steps: int, steps_per_epoch: float) -> dict[str, Schedule]:
    length = {"total_steps": steps, "steps_per_epoch": steps_per_epoch}
    schedule = call_named("config.schedule", SCHEDULES, config["schedule"], **length)
    return {"learning_rate": schedule}


def _teacher(config: dict, data: Data, plan: Plan, models: list[dict] | None):
    """(the teacher, a cache of its outputs), each None where there is none."""
    section, cache = config["teacher"], None
    if models:
        from kdjax.experiment.given_networks import untrained_teacher

        teacher = untrained_teacher(models, data.identity, section)
    else:
        teacher = load_teacher(section, data.identity)
    if section["cache"]:
        from kdjax.experiment.cache import open_cache

        cache = open_cache(config, teacher, data, plan.total_steps)
    return teacher, cache


def _initial(
    section: dict, students: dict[str, Student], sections: dict[str, dict], facts: dict
) -> "Initial":
    """What the weights of another run become in each student."""
    from kdjax.experiment.initial import fitted, load_initial

    initial = load_initial(section, facts)
    networks = {name: student.network for name, student in students.items()}
    return fitted(initial, networks, sections, facts)


def check_sources(
    students: dict[str, Student], initial: "Initial | None", is_cached: bool
) -> None:
    """Raises InputError where a method needs more than what the run starts from.

    A frozen connector has to come from an initial stage, and a cache has not all that
    a teacher has.
    """
    trained = initial.connectors if initial else {}
    for name, student in students.items():
        for key, connector in student.method.connectors.items():
            if connector.rate == 0 and key not in trained:
                raise InputError(
                    f"config.initial: the method of {name} has a frozen {key}, which "
                    "an initial stage trains; expected config.initial.workdir, the "
                    "--workdir of that stage, and config.initial.parts all or "
                    "connectors."
                )
        reason = student.method.why_not_cached
        if is_cached and reason:
            raise InputError(
                f"config.teacher.cache: the method of {name} cannot train from a "
                f"cache: {reason}; expected no cache, and so the teacher itself."
            )


def check_single(config: dict) -> None:
    """Refuses keys that nobody reads, and a config of several stages."""
    schema.check_keys(config)
    for key, what in (("stages", "several stages"), ("select", "a selection")):
        if config[key]:
            raise InputError(
                f"config.{key} makes this a config of {what}; expected the config of "
                "one training."
            )


def check_accumulation(config: dict) -> None:
    """Refuses a number of microbatches that does not divide the batch."""
    count, batch_size = config["accumulation_steps"], config["batch_size"]
    if batch_size % count:
        raise InputError(
            f"config.accumulation_steps is {count} and config.batch_size, which it "
            f"divides, is {batch_size}; expected a divisor of it."
        )


def check_guards(config: dict) -> None:
    """Refuses a spike that half of all losses are."""
    spike = config["guards"]["loss_spike"]
    if 0 < spike <= 1:
        raise InputError(
            f"config.guards.loss_spike is {spike:g}; expected a number above 1, such "
            "as 10, or 0 for none."
        )


def _identity(sections: dict, facts: dict, teacher, cache, initial) -> dict:
    """What every checkpoint says of the run; None for what it was not made from."""
    sources = {"teacher": teacher, "cache": cache, "initial": initial}
    identities = {name: x.identity if x else None for name, x in sources.items()}
    record = {"students": schema.jsonable(sections), "data": facts}
    return record | {"versions": versions(*PACKAGES)} | identities


def plan_of(config: dict, steps_per_epoch: float) -> Plan:
    """Epochs to steps; `total_steps` above 0 overrides `total_epochs`."""
    # Rounded first: 60 epochs of 16666.67 steps are 1,000,000 steps, not one more.
    steps = math.ceil(round(config["total_epochs"] * steps_per_epoch, 6))
    total = config["total_steps"] or steps
    if not total:
        raise InputError("config.total_epochs is 0; expected a number above 0.")
    evaluation, checkpoint = config["evaluation"], config["checkpoint"]
    every = evaluation["every_steps"] or evaluation["every_epochs"] * steps_per_epoch
    return Plan(
        total_steps=total,
        log_every=config["log_every_steps"],
        evaluate_every=max(1.0, every) if every else float(total),
        save_every=checkpoint["every_steps"],
        save_minutes=checkpoint["every_minutes"],
        stop_at_train_top1=config["stop_at_train_top1"],
        max_skipped_share=config["guards"]["max_skipped_share"],
    )
