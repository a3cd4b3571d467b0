"""Writing files so that a crash leaves the old one or the new one, never half of it."""

import functools
import json
import os
import pathlib
from typing import Any

import numpy as np
from rich import filesize

in_bytes = functools.partial(filesize.decimal, precision=2)  # 1536 -> "1.54 kB"


def replace(path: pathlib.Path, text: str) -> None:
    """Writes beside the file, then renames over it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    os.replace(part, path)


def replace_npz(path: pathlib.Path, **arrays: np.ndarray) -> None:
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)
    os.replace(part, path)


def replace_json(path: pathlib.Path, record: Any) -> None:
    replace(path, json.dumps(record, indent=2) + "\n")
