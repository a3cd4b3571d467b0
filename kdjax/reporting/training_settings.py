"""What a config says of how networks were trained, whichever they are."""

import re
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import flat

# Keys of a config that stand in the section of a student.
ELSEWHERE = ("students", "model", "method", "selection")
_FREE = {"data.data_dir", "data.threads", "log_every_steps", "tensorboard", "trackers"}
# Of the data what is where and how it is read, and which part a method has chosen.
_READ = {"data.feed", "data.keep", "data.skip_at_most"}
_NAMED = {"data.name", "data.train", "data.test"}  # `same_images` compares what it is
# A path or a name that has the seed in it: teachers/seed-0.
SEED = re.compile(r"[_\-./]*seed[-_=/]?\d+[_\-./]*", re.IGNORECASE)


def training_settings(config: Mapping) -> dict:
    """What a config says of a training but of its students: keys without seeds."""
    settings = {
        key: value
        for key, value in flat(config).items()
        if key.split(".")[0] not in ELSEWHERE and key not in _FREE
    }
    return without_seeds(settings)


def without_seeds(value: Any) -> Any:
    """The value without its keys called "seed", and without seeds in its texts."""
    if isinstance(value, Mapping):
        return {
            key: without_seeds(inner)
            for key, inner in value.items()
            if key.split(".")[-1] not in ("seed", "seeds")
        }
    return SEED.sub("/", value) if isinstance(value, str) else value


def conditions(config: Mapping) -> dict[str, Any]:
    """What trainings must share if a difference is to be one of their methods.

    Length, batch size, and what is done to images and labels; whether the images are
    the same is for `same_images` to say. {} of an empty config.
    """
    if not config:
        return {}
    steps, epochs = (config.get(f"total_{unit}") for unit in ("steps", "epochs"))
    result = {"length": (steps, "steps") if steps else (epochs, "epochs")}
    result["batch_size"] = config.get("batch_size")
    data = {f"data.{k}": v for k, v in flat(config.get("data", {})).items()}
    return result | {
        key: value
        for key, value in without_seeds(data).items()
        if key not in _FREE | _READ | _NAMED
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The `conditions` in which one training differs from another one, in words.

    >>> differences({"length": (9.0, "epochs")}, {"length": (40, "steps")})
    ['9 epochs instead of 40 steps']
    >>> differences({"data.mixup": 0.2}, {"data.mixup": 0.0})
    ['data.mixup 0.2 instead of 0']
    """
    if bool(one) != bool(other):
        return ["no config to compare"]
    changed = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    # A noise that only one has says so by its name; its rate says no more.
    changed = [key for key in changed if key in one and key in other] or changed
    return [_instead(key, one.get(key), other.get(key)) for key in sorted(changed)]


def _instead(key: str, value: Any, other: Any) -> str:
    if key != "length":
        return f"{key} {value_text(value)} instead of {value_text(other)}"
    (count, unit), (other_count, other_unit) = value, other
    own_unit = f" {other_unit}" * (other_unit != unit)
    return f"{value_text(count)} {unit} instead of {value_text(other_count)}{own_unit}"


def value_text(value: Any) -> str:
    """A value as names and sentences have it: 4, 0.5, 8x16x32."""
    if isinstance(value, list | tuple):
        return "x".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
