"""Reads and writes safetensors files: arrays by name, and nothing that could run."""

import hashlib
import json
import pathlib
from collections.abc import Mapping

import numpy as np

from kdjax.checkpoints import digest
from kdjax.contracts import InputError
from kdjax.paths.files import text_of

CHECKSUM = "kdjax_checksum"  # of tensors and metadata, in the metadata
INSTALL = "pip install safetensors"


def read(file: pathlib.Path) -> dict[str, np.ndarray]:
    """Name -> array; InputError for another file, or where the package is missing."""
    package, error = _package(str(file))
    try:
        tensors, metadata = package.load_file(file), read_metadata(file)
    # Of a type that NumPy lacks, such as float8, too.
    except (error, AttributeError, KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{file}: not a safetensors file that NumPy can read: {text_of(problem)}."
        ) from problem
    checksum = metadata.pop(CHECKSUM, None)
    if checksum not in (None, _digest(tensors, metadata)):
        raise InputError(
            f"{file}: it is damaged: its tensors differ from the checksum that "
            "`python -m kdjax export` wrote beside them. Copy or export it anew."
        )
    return tensors


def read_metadata(file: pathlib.Path) -> dict[str, str]:
    """The metadata of a file that can be read, text by name."""
    _package(str(file))
    from safetensors import safe_open

    with safe_open(file, framework="np") as opened:
        return opened.metadata() or {}


def write(
    file: pathlib.Path, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Writes or overwrites a file; metadata's "format" is "pt" for PyTorch to read.

    The format has no checksum: one lies in the metadata, which `read` compares.
    """
    package, _ = _package(str(file))
    dense = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    metadata = metadata | {CHECKSUM: _digest(dense, metadata)}
    package.save_file(dense, file, metadata=metadata)


def _digest(tensors: Mapping[str, np.ndarray], metadata: dict[str, str]) -> str:
    text = digest(dict(tensors)) + json.dumps(metadata, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_installed(where: str) -> None:
    """Raises InputError where the package is missing."""
    _package(where)


def _package(where: str):
    """The package's part for NumPy, and its error."""
    try:
        from safetensors import SafetensorError
        from safetensors import numpy as package
    except ModuleNotFoundError as error:
        raise InputError(
            f"{where}: safetensors files need the package safetensors: {INSTALL}."
        ) from error
    return package, SafetensorError
