"""Writing files so that a crash leaves the old one or the new one, never half of it."""

import functools
import pathlib
from typing import Any

import numpy as np
from rich import filesize

from kdjax.contracts import json_text, without_nan
from kdjax.paths.files import written
from kdjax.paths.json_files import sealed

in_bytes = functools.partial(filesize.decimal, precision=2)  # 1536 -> "1.54 kB"


def replace(path: pathlib.Path, text: str) -> None:
    with written(path) as part:
        part.write_text(text)


def replace_npz(path: pathlib.Path, **arrays: np.ndarray) -> None:
    with written(path) as part:
        np.savez_compressed(part, **arrays)


def replace_json(path: pathlib.Path, record: Any) -> None:
    replace(path, json_text(record, indent=2) + "\n")


def replace_record(path: pathlib.Path, record: dict) -> None:
    """`replace_json`, with a checksum that `paths.json_files.read_json` compares."""
    replace_json(path, sealed(without_nan(record)))  # the checksum of what is written
