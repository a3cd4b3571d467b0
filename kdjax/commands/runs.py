"""One config in one directory: a training, a selection, or several of them in order."""

import pathlib
import sys

from ml_collections import ConfigDict

from kdjax.build.experiment import build_experiment
from kdjax.build.sections import check_keys, plain, resolved
from kdjax.build.stages import split_stages
from kdjax.commands import selecting, trainer, workdirs
from kdjax.reporting.results import SUMMARY, Result, read_results


def run(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Does what the config says; resumes what was begun and skips what is finished.

    Devices are configured before, by `devices.configure_cpu`.

    Args:
      config: as `get_config` gives it, overrides applied.
      workdir: absolute; created where it is missing.
    """
    with workdirs.locked(workdir):
        if config.stages or config.order:
            parts = split_stages(config, workdir)
            _check(parts)
            workdirs.write_config(workdir, resolved(config))
            for name, part in parts.items():
                print(f"part {name} of {', '.join(parts)}", file=sys.stderr)
                run(part, workdir / name)
            return
        workdirs.check_config(workdir, resolved(config))
        if workdirs.is_done(workdir):
            print(f"{workdir} is finished; nothing to do.", file=sys.stderr)
        elif config.select:
            selecting.select(plain(config), workdir)
        else:
            trainer.train(build_experiment(config), workdir)


def _check(parts: dict[str, ConfigDict]) -> None:
    """Refuses a misspelt last part before the first one has trained for a day."""
    for name, part in parts.items():
        part = plain(part)
        check_keys(part)
        if part["select"]:
            selecting.check(f"config.stages.{name}.select", part["select"])


def results(workdir: pathlib.Path) -> list[Result]:
    """The trained networks of a run, or of all its parts in the order they ran."""
    if (workdir / SUMMARY).exists():
        return read_results(workdir)
    parts = sorted(workdir.glob(f"*/{SUMMARY}"), key=lambda path: path.stat().st_mtime)
    return [result for path in parts for result in read_results(path.parent)]
