"""Splits a validation part off, the same one of the same files everywhere."""

import hashlib
import unicodedata
from collections.abc import Sequence

from kdjax.data.split import DataError

SHARE = 0.2


def check_share(share: float) -> None:
    """Raises DataError unless a part can be split off."""
    if not 0 <= share < 1:
        raise DataError(
            f"--validation is {share:g}; expected a share of each class, 0 or more and "
            "below 1, such as 0.2."
        )


def split_off(files: Sequence, share: float, seed: int) -> tuple[list, list]:
    """(training, validation) of files with a `class_name` and a `name`.

    Of each class the share whose names have the smallest hashes: of two images or more
    at least one on each side. Neither the order of the list nor the machine matters,
    and a file that comes later moves few others.
    """
    check_share(share)
    classes: dict[str, list] = {}
    for file in files:
        classes.setdefault(file.class_name, []).append(file)
    validation = set()
    for own in classes.values():
        if share and len(own) > 1:
            count = min(len(own) - 1, max(1, int(share * len(own) + 0.5)))
            validation.update(sorted(own, key=lambda f: _rank(f, seed))[:count])
    training = [file for file in files if file not in validation]
    return training, [file for file in files if file in validation]


def _rank(file, seed: int) -> tuple[bytes, str]:
    # Some file systems store letters with accents as two characters, others as one.
    text = unicodedata.normalize("NFC", f"{seed}:{file.class_name}/{file.name}")
    return hashlib.sha256(text.encode(errors="replace")).digest(), file.name
