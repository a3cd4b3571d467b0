"""What a config says of how networks were trained, whichever they are."""

import contextlib
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from kdjax import paths
from kdjax.contracts import flat
from kdjax.paths.json_files import read_json

# Keys of a config that stand in the section of a student.
ELSEWHERE = ("students", "model", "method", "selection")
_FREE = {"data.data_dir", "data.threads", "log_every_steps", "tensorboard", "trackers"}
# Of the data what is where and how it is read, and which part a method has chosen.
_READ = {"data.feed", "data.keep", "data.skip_at_most"}
_NAMED = {"data.name", "data.train", "data.test"}  # `same_images` compares what it is
# What else trainings must share, and what runs had before it was a key.
_SHARED = {"ema_decay": 0.0, "batch_norm": "global", "accumulation_steps": 1}
_SHARED |= {"stop_at_train_top1": 0.0}
_MOST = 4  # settings that a sentence names
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


def length(config: Mapping) -> tuple[float | None, str]:
    """(how many, "steps" or "epochs") of a training."""
    steps, epochs = (config.get(f"total_{unit}") for unit in ("steps", "epochs"))
    return (steps, "steps") if steps else (epochs, "epochs")


def conditions(config: Mapping, workdir: pathlib.Path) -> dict[str, Any]:
    """What trainings must share if a difference is to be one of their methods.

    Length, batch size, the weights to begin with, and what is done to images and
    labels; whether the images are the same is for `same_images` to say. {} of an empty
    config. The optimizer is not among them: see `optimizer_settings`.
    """
    if not config:
        return {}
    result = {"length": length(config), "batch_size": config.get("batch_size")}
    result |= {key: config.get(key, default) for key, default in _SHARED.items()}
    result |= _initial(config.get("initial") or {}, workdir)
    data = {f"data.{k}": v for k, v in flat(config.get("data", {})).items()}
    return result | {
        key: value
        for key, value in without_seeds(data).items()
        if key not in _FREE | _READ | _NAMED
    }


def _initial(section: Mapping, workdir: pathlib.Path) -> dict[str, Any]:
    """Of the weights to begin with; those of a method's own stage are its affair."""
    has_none = not section.get("workdir") or section.get("parts") == "connectors"
    if has_none or _is_stage(section["workdir"], workdir):
        return {"initial.workdir": "none"}
    return {f"initial.{key}": value for key, value in without_seeds(section).items()}


def _is_stage(initial: str, workdir: pathlib.Path) -> bool:
    """Whether two runs are stages of one config, by their names: it may have moved."""
    workdir = paths.resolve(workdir, "workdir")
    with contextlib.suppress(OSError, ValueError):
        config = read_json(workdir.parent / "config.json", "the config of a run")
        stages = set(config.get("order") or ())
        return {pathlib.PurePath(initial).name, workdir.name} <= stages
    return False


def optimizer_settings(config: Mapping) -> dict[str, Any]:
    """Of the optimizer and its schedule.

    Methods are often compared with the learning rate that suits each of them, so these
    may differ; but then a difference is not of the methods alone, and a report says so.
    """
    return flat({key: config.get(key) or {} for key in ("optimizer", "schedule")})


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The settings in which one training differs from another one, in words.

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


def sentence(words: list[str]) -> str:
    """Some of the `differences`, "" of none."""
    return ", ".join(words[:_MOST]) + ", ..." * (len(words) > _MOST)


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
