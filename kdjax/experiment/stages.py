"""A config of several stages to the config of each stage.

`config.stages` says what differs from the rest of the config, `config.order` in which
order the stages run. "stage:NAME" stands for the workdir of a stage.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import InputError, nearest
from kdjax.experiment.fields import LONGEST_NAME
from kdjax.experiment.schema import BUILDERS, check_keys, plain

PREFIX = "stage:"
WHOLE = ("students", "select")  # sections that a stage gives as a whole
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}"  # of a directory


def split_stages(config: Any, workdir: pathlib.Path) -> dict[str, dict]:
    """Name -> plain config of every stage, in order; empty if the config has none."""
    config = plain(config)
    check_keys(config)
    stages, order = config["stages"], config["order"]
    if sorted(order) != sorted(stages):
        raise InputError(
            f"config.order is {order!r} and config.stages has "
            f"{', '.join(stages) or 'nothing'}; expected each stage once."
        )
    rest = config | {"stages": {}, "order": ()}
    result, workdirs = {}, {}
    for name in order:
        path = f"config.stages.{name}"
        if not re.fullmatch(NAME, name) or not isinstance(stages[name], Mapping):
            raise InputError(
                f"config.order: {name!r} cannot be a stage; expected the name of a "
                "section, of at most 150 letters, digits, dots, dashes and underscores."
            )
        merged = _merge(path, rest, stages[name])
        result[name] = _resolve(path, merged, workdirs)
        workdirs[name] = str(workdir / name)
    return result


def _merge(path: str, base: Mapping, changes: Mapping) -> dict:
    """`changes` over `base`; a section with a name of its own replaces the old one."""
    merged = dict(base)
    is_builder = path.rpartition(".")[2] in BUILDERS
    for key, value in changes.items():
        if key not in base and not is_builder:
            key = key[:LONGEST_NAME]
            raise InputError(
                f"{path}.{key} is not read; a stage may set {', '.join(base)}."
                + nearest(key, base)
            )
        old = base.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        if nested and key not in WHOLE and not (key in BUILDERS and "name" in value):
            value = _merge(f"{path}.{key}", old, value)
        merged[key] = value
    return merged


def _resolve(path: str, value: Any, workdirs: dict[str, str]) -> Any:
    """Puts workdirs where "stage:NAME" stands, also within a list of them."""
    if isinstance(value, Mapping):
        return {k: _resolve(f"{path}.{k}", v, workdirs) for k, v in value.items()}
    if not isinstance(value, str):
        return value

    def workdir(match):
        name = match.group(1)
        if name not in workdirs:
            raise InputError(
                f"{path} refers to {PREFIX}{name}; expected a stage that comes before "
                f"it: {', '.join(workdirs) or 'there is none'}."
                + nearest(name, workdirs)
            )
        return workdirs[name]

    return re.sub(rf"{PREFIX}([A-Za-z0-9._-]+)", workdir, value)
