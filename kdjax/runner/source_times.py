"""When what a run was made from came to its place: whether a finished run reads it."""

import contextlib
import math
import pathlib

from kdjax import paths
from kdjax.caching.manifest import MANIFEST
from kdjax.checkpoints import storage
from kdjax.experiment.data import KEEP
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.paths import files
from kdjax.reporting.results import SUMMARY, read_summary
from kdjax.runner.workdir import CONFIG


def began(workdir: pathlib.Path) -> float:
    """When a finished run was started last; -inf where that is not known.

    Then it had compared what it was made from. The config of a trial that shared a
    program was written when that ended.
    """
    summary = workdir / SUMMARY
    with contextlib.suppress(FileNotFoundError):
        if not (summary.exists() and "program" in read_summary(summary)):
            return files.modified(workdir / CONFIG)
    return -math.inf


def came_after(moment: float, path: str, key: str, several: bool) -> bool:
    """Whether something came since to what a config names, and nothing of it is gone.

    `several` paths may stand there, separated by commas.
    """
    each = path.split(",") if several else [path]
    times = [_came(paths.resolve(one.strip(), key)) for one in each]
    return -math.inf not in times and max(times) > moment


def _came(path: pathlib.Path) -> float:
    """When the newest network, cache or selection came; -inf: gone, inf: not known."""
    if not path.exists():
        return -math.inf
    checkpoints = path / CHECKPOINTS
    steps = [name for name in files.names(checkpoints) if name.isdigit()]
    written = [checkpoints / step / storage.META for step in steps]
    written += [path / KEEP, path / MANIFEST] if path.is_dir() else [path]
    return max((_time(file) for file in written if file.exists()), default=math.inf)


def _time(file: pathlib.Path) -> float:
    """When a file came to its place: a copy may have the time of its original."""
    return files.modified(file) if paths.is_url(file) else file.stat().st_ctime
