"""The config of a training, of what the functions were given."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from kdjax.api.arguments import KD, Settings
from kdjax.api.processes import check_joined
from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.fields import check_value
from kdjax.experiment.overrides import set_override
from kdjax.models import provided
from kdjax.runner import given_data, objects
from kdjax.runner.trained import Trained


@contextlib.contextmanager
def configured(
    student, teacher, data, workdir: pathlib.Path, settings: Settings
) -> Iterator[ConfigDict]:
    """The config of a training; while it is active its networks have their names."""
    check_joined()
    with given_data.kept(workdir):
        with _configured(student, teacher, data, workdir, settings) as base:
            yield base


@contextlib.contextmanager
def _configured(
    student, teacher, data, workdir: pathlib.Path, settings: Settings
) -> Iterator[ConfigDict]:
    base, networks = schema.base(), {}
    _check(settings)
    base.model = ConfigDict(
        {"name": objects.network_name("student", student, networks)}
    )
    method, config = settings["method"], dict(settings["config"] or {})
    named_method = {"name": method} if isinstance(method, str) else method
    base.method = ConfigDict(KD if method == "kd" else _of_python(named_method))
    base.seed, base.total_epochs = int(settings["seed"]), float(settings["epochs"])
    section, count = given_data.data_section(
        data, str(settings["data_dir"] or ""), workdir
    )
    base.data.update(section)
    has_batch = any(key.removeprefix("config.") == "batch_size" for key in config)
    given = settings["batch_size"] if not has_batch else base.batch_size
    own_rate = settings["learning_rate"]
    base.batch_size, rate = given_data.batch_and_rate(count, given)
    base.schedule.learning_rate = float(rate if own_rate is None else own_rate)
    base.teacher.update(objects.teacher_section(teacher, networks))
    if isinstance(teacher, Trained) and teacher.is_code:
        base.allow_code = (teacher.model,)  # which the caller has named, to train it
    for key, value in config.items():
        _set(base, key, value)
    given_data.say_augmentation(section, config)
    with provided(networks):
        yield base


def _check(settings: Settings) -> None:
    """Raises InputError where a setting is of another type."""
    for key, kind in {"epochs": float, "seed": int}.items():
        check_value(key, kind, settings[key])
    for key, kind in {"learning_rate": float, "batch_size": int}.items():
        if settings[key] is not None:
            check_value(key, kind, settings[key])
    for key, kinds in {
        "method": str | Mapping | ConfigDict,
        "config": Mapping | None,
    }.items():
        if not isinstance(settings[key], kinds):
            expected = "a name or {'name': ...}" if key == "method" else "{key: value}"
            what = type(settings[key]).__name__
            raise InputError(f"{key} is {what}; expected {expected}.")


def _set(config: ConfigDict, key: str, value: Any) -> None:
    if isinstance(value, Mapping) and not isinstance(value.get("name"), str):
        raise InputError(
            f"config[{key!r}] is {type(value).__name__}; expected dotted keys, as "
            f"{key}.{next(iter(value), 'key')}, or a section with its name."
        )
    value = _of_python(value)
    text = str(value) if isinstance(value, str | pathlib.Path) else repr(value)
    set_override(config, key.removeprefix("config."), text)


def _of_python(value: Any) -> Any:
    """Numbers and arrays of NumPy, within tuples and sections too, as of Python."""
    if isinstance(value, Mapping):
        return {key: _of_python(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_of_python, value))
    is_numpy = isinstance(value, np.generic | np.ndarray)
    return _of_python(value.tolist()) if is_numpy else value
