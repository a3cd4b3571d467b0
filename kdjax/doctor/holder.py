"""Which process holds a directory; asks the system, and takes no lock itself."""

import os
import pathlib
import time

from kdjax.doctor.findings import Findings, note
from kdjax.paths import files, is_url
from kdjax.paths.json_files import DamagedError, read_json
from kdjax.runner.workdir import LOCK

LOCKS = pathlib.Path("/proc/locks")  # of the processes that this one may see


def examine_holder(workdir: pathlib.Path) -> Findings:
    path = workdir / LOCK
    if is_url(workdir):
        if path.exists():
            yield _lease(path)
        return
    if path.exists() and (process := holder(path)) is not None:
        text = f"is held by process {process} ({_command(process)}), which writes here"
        advice = "Nothing, unless it should have ended; what is below may change."
        yield note(workdir, text, advice)


def holder(path: pathlib.Path) -> int | None:
    """The process of this host that has locked a file; None where there is none."""
    status = path.stat()
    major, minor = os.major(status.st_dev), os.minor(status.st_dev)
    name = f"{major:02x}:{minor:02x}:{status.st_ino}"
    for line in LOCKS.read_text().splitlines() if LOCKS.exists() else ():
        words = line.split()  # number, FLOCK, ADVISORY, WRITE, process, file, ...
        if name in words and words[1] == "FLOCK":
            return int(words[words.index(name) - 1])
    return None


def _command(process: int) -> str:
    try:
        text = (
            pathlib.Path(f"/proc/{process}/cmdline")
            .read_bytes()
            .decode("utf-8", "replace")
        )
    except OSError:
        return "of another user, or ended"
    return text.replace("\0", " ").strip()[:80]


def _lease(path: pathlib.Path):
    """Of a bucket: who wrote it last, and how long ago by this host's clock."""
    age = time.time() - files.modified(path)
    try:
        record = read_json(path, "the lease", {"pid": int, "host": str})
        holder = f"process {record['pid']} on {record['host']}"
    except DamagedError:
        holder = "a process that its text does not name"
    return note(
        path,
        f"is held by {holder}, who wrote it {age:.0f} s ago",
        "A live run writes it every ten seconds; a dead one's expires by itself.",
    )
