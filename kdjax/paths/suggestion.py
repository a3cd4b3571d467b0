"""What may be meant by a path that is not there."""

import difflib
import itertools
import os
import pathlib

LISTED = 10_000  # names, at most, among which the nearest one is looked for


def suggestion(path: pathlib.Path) -> str:
    """ " Did you mean PATH?" of a local path that is not there; "" if none is near."""
    missing = path.absolute()
    while not missing.parent.is_dir():
        missing = missing.parent
    try:
        with os.scandir(missing.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, LISTED)]
    except OSError:
        return ""
    close = difflib.get_close_matches(missing.name, names, n=1)
    if not close:
        return ""
    existing = missing.with_name(close[0])
    whole = existing / path.absolute().relative_to(missing)
    existing = whole if whole.exists() else existing
    if not path.is_absolute():
        existing = pathlib.Path(os.path.relpath(existing))
    return f" Did you mean {existing}?"
