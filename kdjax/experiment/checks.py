"""What can be known of a training before its data and its teachers are there.

A run of several parts, or of many rows, is checked so before the first one trains.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import InputError, nearest
from kdjax.data.noise import NOISES
from kdjax.experiment import schema
from kdjax.experiment.build import batch_norm_of, plan_of
from kdjax.experiment.data import check_feed
from kdjax.experiment.mixup_checks import refuse_mixed
from kdjax.experiment.networks import build_network
from kdjax.experiment.selection import SELECTIONS
from kdjax.experiment.students import student_sections
from kdjax.methods import METHODS
from kdjax.training.optimizers import OPTIMIZERS, SCHEDULES

# What builders get from the run, not from the config.
FACTS = frozenset(
    (
        *("num_examples", "num_classes", "steps_per_epoch", "total_steps"),
        *("images", "teacher", "data", "labels", "schedule"),
    )
)


def check_training(config: dict) -> None:
    """Refuses what no data set and no teacher could make right.

    Args:
      config: plain, of one training.

    Raises:
      InputError: with the dotted path of the key, name or number.
    """
    schema.check_keys(config)
    schema.number(config, "batch_size", 1, integer=True)
    plan_of(config, steps_per_epoch=1.0)
    batch_norm_of(config)
    check_feed(config["data"])
    if config["teacher"]["cache"]:
        refuse_mixed(config["data"]["mixup"])
    for name, row in student_sections(config).items():
        path = f"config.students.{name}" if config["students"] else "config"
        _check(f"{path}.method", METHODS, row["method"])
        _check(f"{path}.selection", SELECTIONS, row["selection"])
        if ":" not in str(row["model"].get("name")):  # somebody's own may load weights
            build_network(f"{path}.model", row["model"], classes=2)
    _check("config.schedule", SCHEDULES, config["schedule"])
    _check("config.optimizer", OPTIMIZERS, config["optimizer"])
    if config["data"]["noise"].get("name") != "none":
        _check("config.data.noise", NOISES, config["data"]["noise"])


def _check(path: str, table: Mapping[str, Any], section: dict) -> None:
    """Name and keys of a section; its values too, where nothing else is needed."""
    name = section.get("name")
    if name not in table:
        raise InputError(
            f"{path}.name is {name!r}; expected one of {', '.join(table)}."
            + nearest(str(name), table)
        )
    entry = table[name]
    build = entry if callable(entry) else entry.build
    needed = FACTS & inspect.signature(build).parameters.keys()
    if not needed:
        schema.call_named(path, table, section)
        return
    given = {key: value for key, value in section.items() if key != "name"}
    schema.check_arguments(path, name, build, given, dict.fromkeys(needed))
