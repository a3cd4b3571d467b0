"""What a config takes from elsewhere, networks and selections, and who they are."""

from collections.abc import Callable
from typing import Any, NamedTuple

from kdjax import paths
from kdjax.caching.manifest import digest
from kdjax.experiment.cache import read_manifest
from kdjax.experiment.data import keep_digest, load_keep
from kdjax.experiment.pretrained import load_trained
from kdjax.experiment.students import student_sections
from kdjax.experiment.teachers import load_teacher
from kdjax.runner.select import each_step


class Origin(NamedTuple):
    """Something that lies elsewhere."""

    key: str  # of the config, dotted
    path: str  # its value
    read: Callable[[str, Any, dict], Any]  # (key, section, data) -> digest of it
    section: Any


def origins(config: dict) -> dict[str, Origin]:
    """All of them, under the names that `identities` has for their digests.

    Args:
      config: resolved, of one training or one selection.
    """
    keep, teacher = config["data"]["keep"], config["teacher"]["workdir"]
    found = {
        "data.keep": Origin("config.data.keep", keep, _keep, keep),
        "teacher": Origin(
            "config.teacher.workdir", teacher, _teacher, config["teacher"]
        ),
    }
    if config["select"]:
        return found | _of_selector(config["select"])
    cache = config["teacher"].get("cache", "")  # earlier versions had none
    found["cache"] = Origin("config.teacher.cache", cache, _cache, cache)
    found["initial"] = Origin(
        *("config.initial.workdir", config["initial"]["workdir"]),
        *(_network, config["initial"]),
    )
    for name, row in student_sections(config).items():
        is_own = "selection" in config["students"].get(name, {})
        path = f"config.students.{name}.selection" if is_own else "config.selection"
        found |= _of_selection(path, f"selection of {name}", row["selection"])
    return found


def _of_selection(path: str, what: str, section: dict) -> dict[str, Origin]:
    if section["name"] == "file":
        file = section["path"]
        return {what: Origin(f"{path}.path", file, _keep, file)}
    if section["name"] == "influence":
        reference = section.get("reference", "")
        who = _who(section, reference, section.get("checkpoint", "latest"))
        return {what: Origin(f"{path}.reference", reference, _network, who)}
    return {}


def _of_selector(section: dict) -> dict[str, Origin]:
    path, name = "config.select", section["name"]
    if name == "detector":
        step, proxies = section.get("checkpoint", "latest"), section["proxies"]
        who = [_who(section, proxy.strip(), step) for proxy in proxies.split(",")]
        return {"proxies": Origin(f"{path}.proxies", proxies, _networks, who)}
    if name == "influence":
        steps, reference = section.get("checkpoints", "latest"), section["reference"]
        who = [_who(section, reference, step) for step in each_step(steps)]
        return {"reference": Origin(f"{path}.reference", reference, _networks, who)}
    if name == "random":
        other = section.get("as_many_as", "")
        return {"as_many_as": Origin(f"{path}.as_many_as", other, _keep, other)}
    return {}


def _who(section: dict, workdir: str, checkpoint: str) -> dict:
    student = section.get("student", "")
    return {"workdir": workdir, "student": student, "checkpoint": checkpoint}


def _keep(key: str, path: str, data: dict) -> str | None:
    return keep_digest(load_keep(path, key)[0]) if path else None


def _cache(key: str, path: str, data: dict) -> str | None:
    if not path:
        return None
    return digest(read_manifest(paths.local(path, key).resolve(), path))


def _network(key: str, section: dict, data: dict) -> str | None:
    return _networks(key, [section], data)[0] if section["workdir"] else None


def _networks(key: str, sections: list[dict], data: dict) -> list[str]:
    where = key.removesuffix(".workdir")
    return [load_trained(where, row, data).identity["digest"] for row in sections]


def _teacher(key: str, section: dict, data: dict) -> str | None:
    teacher = load_teacher(section, data)
    return teacher.identity["digest"] if teacher else None
