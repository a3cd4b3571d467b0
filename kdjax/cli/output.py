"""Output that decides nothing: a reader that goes away, a full disk, a closed terminal.

A run of days must not end because nobody reads what it prints.
"""

import errno
import io
import os
import select
import sys


class Tolerant(io.FileIO):
    """A file descriptor whose writes never fail; `error` is the first that did."""

    error: OSError | None = None

    def write(self, data) -> int:
        """Writes, or drops what cannot be written; says how many bytes there were."""
        try:
            # None: a pipe that another process has set not to wait is full.
            while (count := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.error = self.error or error
            count = len(data)
        return count


def tolerate() -> None:
    """Makes stdout and stderr of this process tolerant, closed ones included."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened gets what C++ writes to stderr.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = _wrapped(sys.stdout, 1), _wrapped(sys.stderr, 2)


def lost(stream) -> OSError | None:
    """Why some of what was printed is lost; None where its reader did not want it."""
    error = getattr(getattr(stream, "buffer", None), "raw", None)
    error = getattr(error, "error", None)
    return None if error is None or error.errno == errno.EPIPE else error


def _wrapped(stream, descriptor: int):
    raw = Tolerant(descriptor, "wb", closefd=False)
    is_error = descriptor == 2
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=getattr(stream, "errors", None) or "backslashreplace",
        line_buffering=is_error or raw.isatty(),
    )
