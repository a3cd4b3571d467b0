"""What can be refused of a training, or of every stage or trial, before one begins."""

import inspect
from collections.abc import Mapping
from typing import Any

from kdjax.data.noise import NOISES
from kdjax.experiment import builders, denominators, schema
from kdjax.experiment.build import check_accumulation, check_guards, plan_of
from kdjax.experiment.data import check_feed
from kdjax.experiment.methods import STANDARDISE, build_method, split_supervisor
from kdjax.experiment.mixtures import refuse_mixed
from kdjax.experiment.networks import build_network
from kdjax.experiment.selection import SELECTIONS, check_values
from kdjax.experiment.students import student_sections
from kdjax.methods import METHODS
from kdjax.training.optimizers import OPTIMIZERS
from kdjax.training.schedules import SCHEDULES

# Stands for what only the data decide: so long a run, and so many samples and classes,
# that no argument is refused for it.
ENDLESS = {"steps_per_epoch": 1.0, "total_steps": 10**6}
ENDLESS |= {"num_examples": 10**6, "num_classes": 10**6}
# What builders get from the run, not from the config.
FACTS = {"num_examples", "num_classes", "steps_per_epoch", "total_steps"}
FACTS |= {"images", "teacher", "data", "labels", "schedule"}
FACTS |= {"train_labels", "teacher_channels", "run_seed"}


@builders.allows_its_code
def check_training(config: dict) -> None:
    """Refuses of a plain config what no data set and no teacher could make right."""
    schema.check_keys(config)
    epochs = plan_of(config, steps_per_epoch=1.0).total_steps
    check_accumulation(config)
    check_guards(config)
    check_feed(config["data"])
    if config["teacher"]["cache"]:
        refuse_mixed(config["data"])
    for name, student in student_sections(config).items():
        path = f"config.students.{name}" if config["students"] else "config"
        _check_method(f"{path}.method", student["method"])
        _check(f"{path}.selection", SELECTIONS, student["selection"])
        check_values(f"{path}.selection", student["selection"])
        denominators.check(path, student)
        if ":" not in str(student["model"].get("name")):  # others may load weights
            build_network(f"{path}.model", student["model"], classes=2)
    length = {} if config["total_steps"] else {"total_steps": epochs}
    _check("config.schedule", SCHEDULES, config["schedule"], **length)
    _check_optimizer("config.optimizer", config["optimizer"])
    if config["data"]["noise"].get("name") != "none":
        _check("config.data.noise", NOISES, config["data"]["noise"])


def _check_optimizer(path: str, section: dict) -> None:
    """Builds it, but for one of the user's own, which may compute something."""
    section, _ = builders.split_head_rate(path, section)
    table = builders.optimizers(path, section)
    if table is OPTIMIZERS:
        builders.call_named(path, table, section, schedule=lambda step: step)
    else:
        _check(path, table, section)


def _check_method(path: str, section: Mapping) -> None:
    """Builds a method and what is attached to it, unless it needs the data."""
    if _needs(path, section) <= ENDLESS.keys():
        build_method(path, section, **ENDLESS)
        return
    own, rules, _ = split_supervisor(path, section)
    _check(path, METHODS, own)
    if rules and rules["name"] != STANDARDISE:
        where = f"{path}.supervisor"
        takes = inspect.signature(builders.named(where, METHODS, rules)).parameters
        # It has the host's temperature where it is given none.
        usual = {"temperature": 1.0} if "temperature" in takes else {}
        _check_method(where, usual | rules)


def _needs(path: str, section: Mapping) -> set[str]:
    """The facts that a method and what is attached to it take."""
    own, rules, _ = split_supervisor(path, section)
    build = builders.named(path, METHODS, own)
    needed = FACTS & inspect.signature(build).parameters.keys()
    if rules and rules["name"] != STANDARDISE:
        needed |= _needs(f"{path}.supervisor", rules)
    return needed


def _check(path: str, table: Mapping[str, Any], section: dict, **length) -> None:
    """Name and arguments of a section; a builder that needs no fact is called too."""
    build = builders.named(path, table, section)
    needed = FACTS & inspect.signature(build).parameters.keys()
    if not needed:
        builders.call_named(path, table, section)
        return
    facts = dict.fromkeys(needed)
    if length:
        facts |= length | {"steps_per_epoch": 1.0}
    builders.check_arguments(path, build, section, facts)
