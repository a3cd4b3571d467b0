"""What a run was made from: where that lies may change, what lies there may not.

Digests tell: of a network's weights, and of which samples a selection keeps. Those that
a run was made from are in its checkpoints, in summary.json or in selection.json.
"""

import json
import pathlib
from typing import Any

from kdjax.contracts import InputError
from kdjax.reporting.results import SUMMARY
from kdjax.runner import workdir as workdirs
from kdjax.runner.provenance import origins


def check_resumed(workdir: pathlib.Path, saved: dict, now: dict) -> None:
    """Compares what a checkpoint was made from with what is there at this start.

    Args:
      workdir: of the run.
      saved: identity in the checkpoint.
      now: identity of the experiment; of the same config but for free keys.

    Raises:
      InputError: a teacher was trained on, say, or the images are others.
    """
    old, new = (
        {f"{what} digest": digest for what, digest in _digests(identity).items()}
        | {f"data {part}": identity["data"][part] for part in ("train", "test")}
        for identity in (saved, now)
    )
    for what in new:
        if old[what] != new[what]:
            raise InputError(
                f"--workdir: {workdir} was trained with {what} {old[what]}, and this "
                f"is {new[what]}; a run cannot change them on the way. Use a new "
                "--workdir."
            )


def check_finished(
    workdir: pathlib.Path, config: dict, known: dict[str, Any] | None = None
) -> None:
    """Compares what a finished run was made from with what a config names now.

    Nothing is read where the config says what it said then.

    Args:
      workdir: of the run.
      config: resolved; the same as the run's but for free keys.
      known: digests that were read before, to be added to.

    Raises:
      InputError: something else lies where the config now points, or nothing.
    """
    written, known = workdir / workdirs.CONFIG, {} if known is None else known
    if not written.exists():
        return
    old, new = origins(json.loads(written.read_text())), origins(config)
    changed = [what for what in new if new[what].path != old[what].path]
    made_from, data = _recorded(workdir, config) if changed else ({}, {})
    for what in changed:
        if what not in made_from:  # the selector does not ask the teacher
            continue
        key, path, read, section = new[what]
        name = json.dumps([read.__name__, section])
        if name not in known:
            known[name] = read(key, section, data)
        if known[name] != made_from[what]:
            raise InputError(
                f"--workdir: {workdir} was made with {what} digest {made_from[what]} "
                f"at {old[what].path!r}; {key} is now {path!r}, with {known[name]}. "
                "Use a new --workdir, or the old value."
            )


def _digests(identity: dict) -> dict[str, str | None]:
    """Of all that a training was made from, but its images."""
    kinds = ("teacher", "cache", "initial")  # of earlier versions: without a cache
    found = {key: (identity.get(key) or {}).get("digest") for key in kinds}
    for name, row in identity["students"].items():
        found[f"selection of {name}"] = row.get("selection_digest")
    return found


def _recorded(workdir: pathlib.Path, config: dict) -> tuple[dict, dict]:
    """Digests of what a finished run was made from, and the identity of its data."""
    if config["select"]:
        told = json.loads((workdir / workdirs.SELECTION).read_text())
        if "asked" not in told:
            raise InputError(
                f"--workdir: {workdir / workdirs.SELECTION} is of an earlier version "
                "and does not say whom it asked; expected a new --workdir, or the "
                "config that is there."
            )
        found, data = told["asked"], told["data"]
    else:
        identity = json.loads((workdir / SUMMARY).read_text())["identity"]
        found, data = _digests(identity), identity["data"]
    return found | {"data.keep": data["train"].get("keep_sha256")}, data
