"""Turns what a user gives as a path into one; nothing else in the package does."""

import os
import pathlib
import re

from kdjax.contracts import InputError

# Two letters or more, for one is a drive; pathlib merges slashes, so one is enough.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_LONGEST = 255  # bytes of a name, on every usual file system


def local(text: str | pathlib.Path, what: str) -> pathlib.Path:
    """A path on this machine, with `~` and `~user` expanded; it need not exist.

    `what`, the option or key that it came from, opens the message of the InputError
    about an empty one, a URL, an unknown home directory, a NUL or a name too long.

    >>> local("runs/[lr=0.1]", "--workdir").name
    '[lr=0.1]'
    """
    text = str(text)
    if not text.strip():
        raise InputError(f"{what} is empty; expected a path.")
    if _URL.match(text):
        raise InputError(
            f"{what} is {text!r}; buckets are not supported yet. Expected a local "
            "directory, such as one where the bucket is mounted."
        )
    if "\0" in text:
        raise InputError(f"{what} is {text!r}; expected a path without NUL.")
    try:
        path = pathlib.Path(text).expanduser()
    except (RuntimeError, KeyError) as error:  # KeyError: a user without an entry
        raise InputError(
            f"{what} is {text!r}, and there is no such home directory; expected a path "
            "without ~, or set HOME."
        ) from error
    for name in path.parts:
        if (size := len(os.fsencode(name))) > _LONGEST:
            raise InputError(
                f"{what} has a name of {size} bytes, {name[:20]!r}...; expected "
                f"{_LONGEST} at most."
            )
    return path
