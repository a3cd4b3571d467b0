"""Writing files so that a crash leaves the old one or the new one, never half of it."""

import os
import pathlib


def replace(path: pathlib.Path, text: str) -> None:
    """Writes beside the file, then renames over it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    os.replace(part, path)
