"""What a cache's answers depend on: two caches of one digest hold the same answers."""

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from kdjax.contracts import InputError
from kdjax.reporting.files import replace

FORMAT = 1  # raise it when the files of a cache change their meaning
MANIFEST = "manifest.json"
VIEW = 0  # of the crops: the one that teachers see
# Not of the answers: how many epochs of them there are, and who wrote them.
APART = ("epochs", "made_by")


def origin(
    *, teacher: str, data: dict, preprocessing: dict, seed: int, classes: int
) -> dict:
    """What a teacher's answers are a function of, as JSON.

    Args:
      teacher: digest of its weights.
      data: identity of the training split.
      preprocessing: version and values of what makes crops of its images.
      seed: of the run; draws the crops.
      classes: number of classes.
    """
    # Labels are not looked at: the same images with noisy ones get the same answers.
    data = {key: value for key, value in data.items() if key != "noise"}
    found = {
        "format": FORMAT,
        "teacher": teacher,
        "data": data,
        "preprocessing": preprocessing,
        "seed": seed,
        "view": VIEW,
        "classes": classes,
    }
    return json.loads(json.dumps(found))


def read(directory: pathlib.Path, what: str) -> dict | None:
    """Reads the manifest of a cache; None where the directory is none.

    Raises:
      InputError: it is damaged; `what` says who named the directory.
    """
    path = directory / MANIFEST
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{what}: {path} is damaged: {error}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(
            f"{what}: {path} is not the manifest of a cache of format {FORMAT}; "
            "expected what `python -m kdjax cache` of this version writes."
        )
    return found


def write(directory: pathlib.Path, manifest: dict) -> None:
    replace(directory / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def digest(manifest: dict) -> str:
    """SHA-256 of what the answers are; the same for more epochs of them."""
    found = {key: value for key, value in manifest.items() if key not in APART}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def differences(there: dict, here: dict) -> list[str]:
    """Sentences on every key of `here` of which a manifest says something else."""
    there = {key: there.get(key) for key in here}
    old, new = dict(_flat(there)), dict(_flat(here))
    return [
        f"{key} is {old.get(key)!r} there and {new.get(key)!r} here"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, inner in value.items():
        yield from _flat(inner, f"{path}.{key}" if path else key)
