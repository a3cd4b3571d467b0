"""Which trials of a sweep train in one program, and that program's config. Pure."""

import itertools
import json
from typing import Any

from ml_collections import ConfigDict

from kdjax.experiment.schema import OPEN, plain, resolved
from kdjax.sweeps.trials import Trial, digest

OWN = ("method", "selection")  # what the trials of one program may differ in
ALONE = ("order", "stop_at_train_top1")  # a trial that sets one shares with none


def group(trials: list[Trial], limit: int, alone: set[str]) -> list[list[Trial]]:
    """Trials that share a program: those that differ in method and selection only.

    Another seed has another order of data, and another network other shapes. A program
    has at most `limit` trials, larger groups are divided evenly; trials named in
    `alone` share with none.
    """
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        config = resolved(trial.config)
        stays_alone = trial.name in alone or config["initial"]["workdir"]
        if stays_alone or any(config[key] for key in (*OPEN, *ALONE)):
            key = (trial.name,)
        else:
            rest = {name: value for name, value in config.items() if name not in OWN}
            key = json.dumps(rest, sort_keys=True)
        groups.setdefault(key, []).append(trial)
    parts = []
    for members in groups.values():
        count = -(-len(members) // limit)
        ends = [len(members) * i // count for i in range(count + 1)]
        parts += [members[a:b] for a, b in itertools.pairwise(ends)]
    return parts


def program(trials: list[Trial]) -> ConfigDict:
    """The config that trains all the trials, each as the student of its name."""
    students = {t.name: {key: t.config[key] for key in OWN} for t in trials}
    shared = plain(trials[0].config) | {"students": plain(students)}
    shared |= {"method": {"name": ""}, "selection": {"name": "all"}}
    return ConfigDict(shared, allow_dotted_keys=True)  # method.temperature-4.0


def program_id(trials: list[Trial]) -> str:
    return digest("\n".join(trial.name for trial in trials))
