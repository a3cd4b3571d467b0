"""Steps under another name: damaged ones, and those that wait to be replaced."""

import os
import pathlib

from kdjax.paths import files, is_url

DAMAGED = ".damaged"
REPLACED = ".replaced"  # until the state that takes its name is safely on disk
COMMITTED = "commit_success.txt"  # where nothing can be renamed, Orbax's last file


def set_aside(step: pathlib.Path, suffix: str) -> pathlib.Path:
    """Renames a step; of several with the new name the last is kept."""
    target = step.with_name(step.name + suffix)
    files.remove_tree(target)  # else nothing can take its name
    _move(step, target)
    return target


def step_names(directory: pathlib.Path) -> list[str]:
    """Directories of steps, the newest first; those that wait to be replaced too.

    Where a process was killed between the two, such a one is all that there is.
    """
    numbers = {name: name.removesuffix(REPLACED) for name in files.names(directory)}
    steps = [name for name, number in numbers.items() if number.isdigit()]
    return sorted(steps, key=lambda name: (-int(numbers[name]), name))


def give_back(directory: pathlib.Path) -> None:
    """Ends what a killed process began: a replaced step is back, or is deleted."""
    for name in files.names(directory):
        number = name.removesuffix(REPLACED)
        if number == name:
            continue
        step, old = directory / number, directory / name
        marker = step / COMMITTED if is_url(directory) else step
        if marker.exists():
            files.remove_tree(old)
        else:
            files.remove_tree(step)
            _move(old, step)


def _move(source: pathlib.Path, target: pathlib.Path) -> None:
    if not is_url(source):
        os.rename(source, target)
        return
    bucket, name = files.filesystem(source)
    _, new = files.filesystem(target)
    # A step counts when its marker is there, so that comes last, and goes first.
    for file in sorted(bucket.find(name), key=lambda file: file.endswith(COMMITTED)):
        bucket.cp_file(file, new + file.removeprefix(name))
    (source / COMMITTED).unlink(missing_ok=True)
    files.remove_tree(source)
