"""Which classes the features.json of a prepared set names: TFDS imports them all."""

import contextlib
import json
import pathlib
from typing import Any

from kdjax.data.split import DataError
from kdjax.paths.json_files import read_json

FILE = "features.json"
OWN = "tensorflow_datasets."
# What a class is called there, by TFDS today, as protobuf also reads it, and of old.
KEYS, JSON = ("pythonClassName", "python_class_name", "type"), "json"


def check_classes(directory: pathlib.Path) -> None:
    """Raises DataError where a feature is of another class than TFDS's own.

    Reading the set would import its module: code that came with the data could run.
    """
    path = directory / FILE
    if not path.exists():
        return
    advice = "Prepare the set anew."
    for name in _names(read_json(path, "the description of a set", dict, advice)):
        if "." in name and not name.startswith(OWN):  # without a dot it has no module
            raise DataError(
                f"{directory}: {FILE} names the class {name!r}, whose module would be "
                "imported; expected TFDS's own features, such as Image and ClassLabel. "
                "Write the set anew without it."
            )


def _names(record: Any) -> list[str]:
    """Of all features, one in another; a feature may itself be called `type`."""
    if isinstance(record, list):
        return [name for inner in record for name in _names(inner)]
    if not isinstance(record, dict):
        return []
    own = [record[key] for key in KEYS if isinstance(record.get(key), str)]
    inside = list(record.values())
    if isinstance(record.get(JSON), str):  # of a feature of somebody's own
        with contextlib.suppress(ValueError):  # then TFDS says so
            inside.append(json.loads(record[JSON]))
    return own + [name for inner in inside for name in _names(inner)]
