"""Whether trainings that are not finished still go on, as far as their files say.

A training holds the lock of its directory, in a bucket a lease that it writes again and
again. The lock is not visible from a machine that has a copy of the directory, so one
that nobody holds ends a training only where its rows have stopped too.
"""

import fcntl
import os
import pathlib
import statistics
import time

from kdjax.paths import files, is_url
from kdjax.reporting.runs import CONFIG, METRICS, Run
from kdjax.runner import lease
from kdjax.runner.workdir import LOCK

ROWS = 10  # typical times between two rows without one
LEAST, FIRST = 60.0, 300.0  # seconds; until the first row, before which it compiles


class Watched:
    """Directories of trainings, and what their files held before."""

    def __init__(self, roots: list[pathlib.Path]):
        self._roots = roots
        self._leases: dict[str, tuple[bytes, float]] = {}  # its content, since when

    def goes_on(self, runs: list[Run]) -> bool:
        """Whether one of these trainings, or what begins the next one, is at work."""
        going = [self._is_alive(run) for run in runs if not run.is_finished]
        # Between two trials of a sweep, or two stages, only the directory is held.
        return any(going) or any([self.is_held(root) for root in self._roots])

    def _is_alive(self, run: Run) -> bool:
        if silence(run) <= longest_silence(run):
            return True
        above = [one for one in self._roots if one in run.workdir.parents]
        return any([self.is_held(one) for one in (run.workdir, *above)])

    def is_held(self, workdir: pathlib.Path) -> bool:
        """Whether a process holds the directory; False where that is not visible."""
        if is_url(workdir):
            return self._is_leased(workdir)
        try:
            file = os.open(workdir / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # Shared and for an instant: a training that begins just then is refused.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
        finally:
            os.close(file)
        return False

    def _is_leased(self, workdir: pathlib.Path) -> bool:
        """Whether the lease was written within its expiry, by this process's clock."""
        try:
            content = (workdir / LOCK).read_bytes()
        except FileNotFoundError:
            return False
        now = time.monotonic()
        before, since = self._leases.get(str(workdir), (None, now))
        if content != before:
            since = now
        self._leases[str(workdir)] = content, since
        return now - since < lease.EXPIRY


def silence(run: Run) -> float:
    """Seconds since a training last wrote a row, or began."""
    times = []
    for name in (METRICS, CONFIG):
        try:
            times.append(files.modified(run.workdir / name))
        except OSError:
            continue
    return time.time() - max(times) if times else 0.0


def longest_silence(run: Run) -> float:
    """How many seconds without a row are usual, ten times over; a minute at least."""
    times = [row["seconds"] for row in run.rows]
    gaps = [b - a for a, b in zip(times, times[1:], strict=False) if b > a]
    if not gaps:
        return FIRST
    return max(ROWS * statistics.median(gaps), LEAST)
