"""Which students a published number belongs to: those of the recipe that it is of."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kdjax.experiment.schema import is_free, nested, resolved

OF_STUDENT = ("model", "method", "selection")
OF_TRAINING = ("data", "batch_norm", "batch_size", "total_epochs", "total_steps")
OF_TRAINING += ("optimizer", "schedule", "stop_at_train_top1")
# Keys since then: a part of the recipe where they are not at their default.
ADDED = ("accumulation_steps", "ema_decay")


def put_published(config: Any, top1: float, source: str, teacher: str = "") -> None:
    """Sets `config.published` to a number of the config's student as it is now.

    What is changed afterwards in the student's network, method or selection, in the
    data, the optimizer, the schedule or the length of the run takes the number away;
    another seed does not. Set all of it before.

    Args:
      config: ConfigDict of one training, without `students`.
      top1: percent.
      source: where it stands.
      teacher: name of the network that its teacher is; "": of any, or of none.

    >>> from kdjax.experiment import schema
    >>> config = schema.base()
    >>> config.method.name, config.model.name = "ce", "resnet20"
    >>> put_published(config, 69.06, "a README")
    >>> record = schema.resolved(config)
    >>> published_of(record, record, None)
    {'top1': 69.06, 'source': 'a README'}
    >>> published_of(record | {"total_epochs": 30.0}, record, None)
    """
    record = resolved(config)
    config.published.top1, config.published.source = top1, source
    for key in ("method", "model"):
        config.published[key] = record[key]["name"]
    config.published.teacher = teacher
    config.published.recipe = _digest(record, record)


def published_of(
    config: Mapping, student: Mapping, teacher: Mapping | None
) -> dict | None:
    """The number of `config.published` as {"top1", "source"}, or None.

    Args:
      config: of the run, as JSON holds it.
      student: its sections `model`, `method` and `selection`.
      teacher: identity of the run's teacher; None without one.
    """
    published = config["published"]
    names = {key: student[key]["name"] for key in ("method", "model")}
    if not published["top1"] or any(names[key] != published[key] for key in names):
        return None
    if published["teacher"] and _name_of(teacher) != published["teacher"]:
        return None
    if published["recipe"] and _digest(config, student) != published["recipe"]:
        return None
    return {key: published[key] for key in ("top1", "source")}


def _name_of(teacher: Mapping | None) -> str | None:
    """The name of a teacher's network; None without one, or of several."""
    model = (teacher or {}).get("model")
    return model.get("name") if isinstance(model, Mapping) else None


def _digest(config: Mapping, student: Mapping) -> str:
    """Of all that a student's result depends on, but for seed, teacher and weights."""
    recipe = {key: student[key] for key in OF_STUDENT}
    recipe |= {key: config[key] for key in OF_TRAINING}
    usual = nested()
    recipe |= {k: config[k] for k in ADDED if config.get(k, usual[k]) != usual[k]}
    recipe["data"] = {
        key: value
        for key, value in config["data"].items()
        if key == "keep" or not is_free(f"data.{key}")
    }
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
