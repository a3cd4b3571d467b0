"""A config of several parts to the config of each part.

`config.stages` says what differs from the rest of the config, `config.order` in which
order the parts run. "stage:NAME" stands for the workdir of a part.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import InputError, nearest
from kdjax.experiment.schema import NAMED, plain

PREFIX = "stage:"
OPEN_KEYS = (*NAMED, "noise")  # sections of a builder's own keys
WHOLE = ("students", "select")  # sections that a part gives as a whole


def split_stages(config: Any, workdir: pathlib.Path) -> dict[str, dict]:
    """Name -> plain config of every part, in order; empty where the config has none.

    Raises:
      InputError: order and stages name different parts, a part sets a key that the
        config does not have, or refers to a part that does not come before it.
    """
    config = plain(config)
    stages, order = config["stages"], config["order"]
    if sorted(order) != sorted(stages):
        raise InputError(
            f"config.order is {order!r} and config.stages has "
            f"{', '.join(stages) or 'nothing'}; expected each part once."
        )
    rest = config | {"stages": {}, "order": ()}
    result, known = {}, {}
    for name in order:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise InputError(
                f"config.order: {name!r} cannot name a part; expected letters, digits, "
                "dots, dashes and underscores."
            )
        path = f"config.stages.{name}"
        merged = _merge(path, rest, stages[name])
        result[name] = _resolve(path, merged, known)
        known[name] = str(workdir / name)
    return result


def _merge(path: str, base: Mapping, changes: Mapping) -> dict:
    """`changes` over `base`; a section with a name of its own replaces the old one."""
    merged = dict(base)
    for key, value in changes.items():
        place = f"{path}.{key}"
        if key not in base and path.rpartition(".")[2] not in OPEN_KEYS:
            raise InputError(
                f"{place} is not read; a part may set {', '.join(base)}."
                + nearest(key, base)
            )
        old = base.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        whole = key in WHOLE or (key in OPEN_KEYS and "name" in value)
        if nested and not whole:
            merged[key] = _merge(place, old, value)
        else:
            merged[key] = value
    return merged


def _resolve(path: str, value: Any, known: dict[str, str]) -> Any:
    """Puts workdirs where "stage:NAME" stands, also within a list of them."""
    if isinstance(value, Mapping):
        return {k: _resolve(f"{path}.{k}", v, known) for k, v in value.items()}
    if not isinstance(value, str) or PREFIX not in value:
        return value

    def workdir(match):
        name = match.group(1)
        if name not in known:
            raise InputError(
                f"{path} refers to {PREFIX}{name}; expected a part that comes before "
                f"it: {', '.join(known) or 'there is none'}." + nearest(name, known)
            )
        return known[name]

    return re.sub(rf"{PREFIX}([A-Za-z0-9._-]+)", workdir, value)
