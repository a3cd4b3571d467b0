"""Which rows of a grid train together, and the config that trains them. Pure."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from kdjax.experiment.schema import OPEN, plain, resolved
from kdjax.sweep.trials import Row, digest

OWN = ("method", "selection")  # what the rows of one program may differ in


def group(rows: list[Row], limit: int, alone: set[str]) -> list[list[Row]]:
    """Rows that train in one program; a row that shares with nobody is one of one.

    Those share a program that differ in nothing but method and selection: data order
    belongs to the seed, and another network is another shape.

    Args:
      limit: most rows in a program; a larger group is divided evenly.
      alone: names of rows that must not share.
    """
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        config = resolved(row.config)
        shares = row.name not in alone and can_share(config)
        rest = {key: value for key, value in config.items() if key not in OWN}
        key = json.dumps(rest, sort_keys=True) if shares else (row.name,)
        groups.setdefault(key, []).append(row)
    parts = []
    for members in groups.values():
        count = -(-len(members) // limit)
        ends = [len(members) * i // count for i in range(count + 1)]
        parts += [members[a:b] for a, b in itertools.pairwise(ends)]
    return parts


def can_share(config: Mapping) -> bool:
    """Whether a run can be one student of a program of several."""
    own = any(config[key] for key in (*OPEN, "order", "stop_at_train_top1"))
    return not own and not config["initial"]["workdir"]


def program(rows: list[Row]) -> ConfigDict:
    """The config that trains all the rows at once, each as the student of its name."""
    students = {row.name: {key: row.config[key] for key in OWN} for row in rows}
    shared = plain(rows[0].config) | {"students": plain(students)}
    shared |= {"method": {"name": ""}, "selection": {"name": "all"}}
    return ConfigDict(shared, allow_dotted_keys=True)  # method.temperature-4.0


def program_id(rows: list[Row]) -> str:
    return digest("\n".join(row.name for row in rows))
