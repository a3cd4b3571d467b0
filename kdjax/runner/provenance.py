"""What a run takes from elsewhere: where that lies may change, what lies there may not.

Digests are compared: of a network's weights, of a cache, of which samples a selection
keeps. A run records them in its checkpoints, in summary.json or in selection.json.
What came to its place before a run began is not read again for a finished one.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from kdjax import paths
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.experiment.data import keep_digest, load_keep
from kdjax.experiment.pretrained import load_trained
from kdjax.experiment.students import student_sections
from kdjax.experiment.teachers import load_teacher
from kdjax.models import PROVIDED
from kdjax.paths.files import text_of
from kdjax.paths.json_files import DamagedError
from kdjax.reporting.results import SUMMARY, read_summary
from kdjax.runner import same_data, source_times
from kdjax.runner.workdir import CONFIG, SELECTION, read_config


class Source(NamedTuple):
    """A network, cache or selection that a config names."""

    key: str  # of the config, dotted
    path: str  # its value
    read: Callable[[str, Any, dict], Any]  # (key, section, data) -> digest of it
    section: Any


def check_resumed(workdir: pathlib.Path, saved: dict, current: dict) -> None:
    """Raises InputError where a checkpoint is not of the experiment to resume.

    A teacher was trained on, say, or the images are others.
    """
    old, new = (
        {f"{what} digest": value for what, value in _digests(identity).items()}
        | {f"data {part}": identity["data"][part] for part in ("train", "test")}
        for identity in (saved, current)
    )
    for what in new:
        if old[what] != new[what]:
            raise InputError(
                f"--workdir: {workdir} was trained with {what} {old[what]}, and this "
                f"is {new[what]}; a run cannot change them on the way. Use a new "
                "--workdir."
            )


def check_finished(
    workdir: pathlib.Path, config: dict, digests: dict[str, Any] | None = None
) -> None:
    """Raises InputError where a config names other sources than a run was made from.

    `config` is resolved, the run's but for free keys. A path that is the same is read
    where something came to it since the run began. `digests` were read for other runs
    before; this run's are added.
    """
    old, digests = read_config(workdir), {} if digests is None else digests
    if old is None:
        return
    same_data.check_prepared(workdir, config["data"])
    same_data.check_arrays(workdir, config["data"], digests)
    new = sources(config)
    try:
        old = sources(schema.with_defaults(old))
        changed = [
            what
            for what, one in new.items()
            if one.path != old[what].path or str(one.path).startswith(PROVIDED)
        ]
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise DamagedError(
            f"--workdir: {workdir / CONFIG} is damaged: its sources are none "
            f"({text_of(error)}). Use a new --workdir."
        ) from error
    recorded, data = _recorded(workdir, config) if changed else ({}, {})
    for what in changed:
        if what not in recorded:  # the selector does not use the teacher
            continue
        now = _digest_of(new[what], data, digests)
        if now != recorded[what]:
            raise InputError(
                f"--workdir: {workdir} was made with {what} digest {recorded[what]} at "
                f"{old[what].path!r}; {new[what].key} is now {new[what].path!r}, with "
                f"{now}. Use a new --workdir, or the old value."
            )
    kept = {what: one for what, one in new.items() if what not in changed}
    _check_kept(workdir, config, kept, digests)


def _digest_of(source: Source, data: dict, digests: dict[str, Any]) -> Any:
    name = json.dumps([source.read.__name__, source.section])
    if name not in digests:
        digests[name] = source.read(source.key, source.section, data)
    return digests[name]


def _check_kept(
    workdir: pathlib.Path, config: dict, kept: dict[str, Source], digests: dict
) -> None:
    """Refuses sources that were trained on, or made anew, where they lie.

    Those that are gone or cannot be read contradict nothing: what is finished stays.
    """
    began, recorded, data = source_times.began(workdir), None, {}
    for what, one in kept.items():
        if not one.path or one.key.endswith(".network"):
            continue
        several = one.read not in (_keep, _cache)
        try:
            if not source_times.came_after(began, one.path, one.key, several):
                continue
            if recorded is None:
                recorded, data = _recorded(workdir, config)
            if recorded.get(what) is None:
                continue
            now = _digest_of(one, data, digests)
        except (InputError, StorageError, OSError) as error:
            collectives.log(f"{one.key}: not compared with the run's ({error})")
            continue
        if now != recorded[what]:
            raise InputError(
                f"--workdir: {workdir} was made with {what} digest {recorded[what]} at "
                f"{one.path!r}; that was trained on or made anew since, and has {now} "
                "now. Use a new --workdir, or what was there before."
            )


def _digests(identity: dict) -> dict[str, str | None]:
    """Of all that a training was made from, but its images."""
    kinds = ("teacher", "cache", "initial")  # of earlier versions: without a cache
    digests = {key: (identity.get(key) or {}).get("digest") for key in kinds}
    for name, row in identity["students"].items():
        digests[f"selection of {name}"] = row.get("selection_digest")
    return digests


def _recorded(workdir: pathlib.Path, config: dict) -> tuple[dict, dict]:
    """Digests of what a finished run was made from, and the identity of its data."""
    if config["select"]:
        from kdjax.runner.select import read_selection

        record = read_selection(workdir)
        if "sources" not in record:
            raise InputError(
                f"--workdir: {workdir / SELECTION} is of an earlier version and does "
                "not say which networks it was made from; expected a new --workdir, or "
                "the config that is there."
            )
        digests, data = record["sources"], record["data"]
    else:
        identity = read_summary(workdir / SUMMARY).get("identity")
        if not identity or "data" not in identity:
            raise InputError(
                f"--workdir: {workdir / SUMMARY} does not say what the run was made "
                "from; expected a new --workdir, or the config that is there."
            )
        digests, data = _digests(identity), identity["data"]
    return digests | {"data.keep": (data.get("train") or {}).get("keep_sha256")}, data


def sources(config: dict) -> dict[str, Source]:
    """What a resolved config names, under the names that the digests have."""
    keep, teacher, key = config["data"]["keep"], config["teacher"], "config.teacher"
    of_teacher = "network" if teacher.get("network") else "workdir"
    named = {
        "data.keep": Source("config.data.keep", keep, _keep, keep),
        "teacher": Source(
            f"{key}.{of_teacher}", teacher[of_teacher], _teacher, teacher
        ),
    }
    if config["select"]:
        return named | _of_selector(config["select"])
    cache = teacher.get("cache", "")  # earlier versions had none
    named["cache"] = Source(f"{key}.cache", cache, _cache, cache)
    initial, key = config["initial"], "config.initial.workdir"
    named["initial"] = Source(key, initial["workdir"], _initial, initial)
    for name, row in student_sections(config).items():
        is_own = "selection" in config["students"].get(name, {})
        path = f"config.students.{name}.selection" if is_own else "config.selection"
        what, section = f"selection of {name}", row["selection"]
        if section["name"] == "file":
            file = section["path"]
            named[what] = Source(f"{path}.path", file, _keep, file)
        if section["name"] == "influence":
            reference = section.get("reference", "")
            network = _section(section, reference, section.get("checkpoint", "latest"))
            named[what] = Source(f"{path}.reference", reference, _networks, network)
    return named


def _of_selector(section: dict) -> dict[str, Source]:
    path, name = "config.select", section["name"]
    if name == "detector":
        step, proxies = section.get("checkpoint", "latest"), section["proxies"]
        each = [_section(section, proxy.strip(), step) for proxy in proxies.split(",")]
        return {"proxies": Source(f"{path}.proxies", proxies, _networks, each)}
    if name == "influence":
        from kdjax.runner.select import each_step

        steps, reference = section.get("checkpoints", "latest"), section["reference"]
        each = [_section(section, reference, step) for step in each_step(steps)]
        return {"reference": Source(f"{path}.reference", reference, _networks, each)}
    if name == "random":
        other = section.get("as_many_as", "")
        return {"as_many_as": Source(f"{path}.as_many_as", other, _keep, other)}
    return {}


def _section(section: dict, workdir: str, checkpoint: str) -> dict:
    student = section.get("student", "")
    return {"workdir": workdir, "student": student, "checkpoint": checkpoint}


def _keep(key: str, path: str, data: dict) -> str | None:
    return keep_digest(load_keep(path, key)[0]) if path else None


def _cache(key: str, path: str, data: dict) -> str | None:
    if not path:
        return None
    from kdjax.caching.manifest import digest
    from kdjax.experiment.cache import read_manifest

    return digest(read_manifest(paths.resolve(path, key), path))


def _networks(key: str, section: dict | list[dict], data: dict):
    """The digest of one network, or those of several."""
    if isinstance(section, list):
        return [_networks(key, row, data) for row in section]
    if not section["workdir"]:
        return None
    return load_trained(key.removesuffix(".workdir"), section, data).identity["digest"]


def _initial(key: str, section: dict, data: dict) -> str | None:
    """The digest of what a training takes over: weights, connectors or both."""
    if not section["workdir"]:
        return None
    from kdjax.experiment.initial import load_initial

    return load_initial(section, data).identity["digest"]


def _teacher(key: str, section: dict, data: dict) -> str | None:
    teacher = load_teacher(section, data)
    return teacher.identity["digest"] if teacher else None
