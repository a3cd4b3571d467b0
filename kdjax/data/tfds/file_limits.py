"""Raises the limit on open files: a set's are opened when first read, and stay so.

TFDS cuts ImageNet into 1,088; many systems begin a process with a limit of 1,024.
"""

import contextlib
import re

from kdjax.data.split import DataError
from kdjax.paths.files import text_of

try:
    import resource
except ImportError:  # Windows, whose limit is another one
    resource = None

_USUAL = 8192  # a set or two, and what JAX and the checkpoints have open
OTHERS = 256  # files of others: libraries, checkpoints, a smaller set beside
# How array_record passes on what the system says, as in "open() failed: ...".
_SYSTEM = re.compile(r"\b\w+\(\) failed: ")


def allow(count: int, where: str) -> None:
    """Lets this process have `count` files of a split, and some others, open."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed, unlimited = count + OTHERS, resource.RLIM_INFINITY
    wanted = max(_USUAL, needed)
    wanted = wanted if hard == unlimited else min(wanted, hard)
    if soft != unlimited and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # some allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != unlimited and soft < needed:
        raise DataError(
            f"{where}: lies in {count:,} files, which stay open, and a process may "
            f"have {soft:,} open here; expected {needed:,}. Type `ulimit -n {needed}` "
            "first, or have the system's limit raised."
        )


class DiskError(DataError):
    """A disk gives nothing of a set now: nothing is known of what is on it."""

    exit_code = 4


def failure(text: str, error: Exception, directory) -> DataError:
    """The error of a set that could not be read; a disk may work again."""
    text = f"{text} ({text_of(error)})."
    if is_system_error(error):
        return DiskError(
            f"{text} Look whether the disk of {directory} is there and in order; if "
            "this comes again, prepare the set anew."
        )
    return DataError(f"{text} Delete {directory} and prepare the set anew.")


def is_system_error(error: Exception) -> bool:
    """Whether the system refused something; else what a file holds is wrong."""
    return isinstance(error, OSError) or bool(_SYSTEM.search(str(error)))
