"""What a user types as a path becomes one here, and nowhere else."""

import pathlib
import re

from kdjax.contracts import InputError

# Two letters or more, for one is a drive; pathlib merges slashes, so one is enough.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def local(text: str | pathlib.Path, what: str) -> pathlib.Path:
    """A path on this machine, with `~` and `~user` expanded; it need not exist.

    Args:
      text: as the user gave it.
      what: the option or key that it came from; it opens the message.

    Raises:
      InputError: empty, a URL, a home directory that is not known, or a NUL.

    >>> local("runs/[lr=0.1]", "--workdir").name
    '[lr=0.1]'
    >>> local("gs://bucket/run", "--workdir")
    Traceback (most recent call last):
      ...
    kdjax.contracts.InputError: --workdir is 'gs://bucket/run'; buckets are not supported yet. Expected a local directory, such as one where the bucket is mounted.
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
        return pathlib.Path(text).expanduser()
    except (RuntimeError, KeyError) as error:  # KeyError: a user without an entry
        raise InputError(
            f"{what} is {text!r}, and there is no such home directory; expected a path "
            "without ~, or set HOME."
        ) from error
