"""Weights from elsewhere as a checkpoint of a run that never was: step 0 of one."""

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from kdjax import checkpoints, paths
from kdjax.contracts import InputError
from kdjax.paths.files import names
from kdjax.paths.json_files import parse_json
from kdjax.training.state import TrainState
from kdjax.types import PyTree
from kdjax.weights import first_bytes, layouts, safetensors, torch_files

SAFETENSORS = ".safetensors"
OURS = "kdjax"  # key of the metadata that `export` writes


def read(file: pathlib.Path, key: str = "") -> dict[str, np.ndarray]:
    """Name -> array; the suffix decides how. `key` is for PyTorch's files alone."""
    if not file.is_file():
        text = f"FILE is {str(file)!r}, and there is no such file."
        raise InputError(text + paths.nearest(file))
    is_safetensors = file.suffix == SAFETENSORS
    if is_safetensors or file.name.endswith(torch_files.SUFFIXES):
        first_bytes.check_weights(file, is_safetensors)
    if is_safetensors:
        if key:
            raise InputError(
                f"--key is {key!r}, and {file} holds one set of weights; expected none."
            )
        return safetensors.read(file)
    if file.name.endswith(torch_files.SUFFIXES):
        return torch_files.read(file, key)
    suffixes = ", ".join((SAFETENSORS, *torch_files.SUFFIXES))
    raise InputError(f"{file}: ends in {file.suffix!r}; expected one of {suffixes}.")


def metadata(file: pathlib.Path) -> dict[str, str]:
    """The metadata of a file that can be read, text by name."""
    return safetensors.read_metadata(file) if file.suffix == SAFETENSORS else {}


def origin(file: pathlib.Path) -> dict:
    """The JSON object that `export` wrote into a file; {} for other files."""
    text = metadata(file).get(OURS, "{}")
    with contextlib.suppress(ValueError):
        return parse_json(text.encode(), dict)
    raise InputError(
        f"{file}: its metadata {OURS} is {text[:60]!r}; expected the JSON object that "
        "`python -m kdjax export` writes."
    )


def sha256(file: pathlib.Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digest(variables: PyTree, normalisation, models: Sequence[dict] = ()) -> str:
    """The digest of a teacher from elsewhere: its weights, and what answers with them.

    `normalisation` also holds what else is done for it, as JSON does; `models` are the
    config sections of the networks.
    """
    inputs = json.dumps(normalisation, sort_keys=True)
    text = f"{checkpoints.digest(variables)} {inputs}"
    unusual = []  # what the arrays do not show
    for model in models:
        usual = {"dtype": "float32"}
        if model.get("name") not in layouts.OTHERS:
            usual["name"] = model.get("name")
        unusual.append({k: v for k, v in model.items() if (k, v) not in usual.items()})
    if any(unusual):  # else the digest is that of versions that did not look
        text += json.dumps(unusual, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(name: str, model: dict, data: dict, source: dict, versions: dict) -> dict:
    """The identity that the checkpoint stores, with the keys of a run's.

    `source` says which file it was and how it was read, `model` is a config's section.
    """
    student = {"model": model, "method": {"name": "imported"}, "networks": 1}
    return {
        "students": {name: student},
        "data": {"train": None, "test": None} | data,
        "versions": versions,
        "imported": source,
        **{"teacher": None, "cache": None, "initial": None},
    }


def save(
    directory: pathlib.Path, name: str, variables: tuple[PyTree, PyTree], meta: dict
) -> None:
    """Writes step 0, with nothing of a training: no optimizer, no memory."""
    weights = {"params": variables[0], "batch_stats": variables[1]}
    nothing = {"opt_state": (), "supervision_state": ()}
    state = TrainState(step=np.zeros((), np.int32), **weights, **nothing)
    checkpointer = checkpoints.Checkpointer(directory, (name,), meta)
    with contextlib.closing(checkpointer):
        checkpointer.save(0, {name: state}, None)
        checkpointer.wait()


def present(directory: pathlib.Path) -> dict | None:
    """The identity of what is in a directory of checkpoints; None for nothing."""
    if not any(name.isdigit() for name in names(directory)):
        return None
    return checkpoints.read_meta(directory)[0]
