"""Disks: room, room for more files, and whether they can be written."""

import os
import pathlib
import tempfile
from collections.abc import Mapping

from kdjax import paths
from kdjax.doctor.findings import Finding, Findings, note, ok, problem
from kdjax.paths import is_url
from kdjax.reporting.files import in_bytes

FILES = 1000  # that a run may write: checkpoints have many
MAKE_ROOM = (
    "Make room: a run that cannot save ends with 4, and loses what is not saved."
)


def examine_disk(what: str, path: str | pathlib.Path, needed: int) -> Findings:
    """The disk that a path is on, or will be; `needed` bytes of it should be free."""
    if is_url(path):
        return
    place = paths.local(path, what)
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = os.statvfs(place)
    free, files = usage.f_bavail * usage.f_frsize, usage.f_favail
    inodes = files if usage.f_files else None  # some file systems have no limit
    directory = place if place.is_dir() else place.parent
    writable = os.access(directory, os.W_OK) and not usage.f_flag & os.ST_RDONLY
    yield disk_finding(f"{what}: {place}", free, inodes, writable, needed)


def disk_finding(
    where: str, free: int, files: int | None, writable: bool, needed: int
) -> Finding:
    if not writable:
        text = "cannot be written by this user, or is mounted read-only"
        return note(where, text, "Only a run that is finished may lie there.")
    if free < needed:
        text = f"{in_bytes(free)} free; expected {in_bytes(needed)}"
        return problem(where, text, MAKE_ROOM)
    if files is not None and files < FILES:
        text = f"room for {files} more files; expected {FILES}"
        return problem(where, text, "Delete small files: the disk is out of inodes.")
    return ok(where, f"{in_bytes(free)} free")


def examine_tmpdir(environ: Mapping[str, str]) -> Findings:
    """Python takes another directory where $TMPDIR cannot be used, and says nothing."""
    given = environ.get("TMPDIR")
    if given and os.path.abspath(given) != os.path.abspath(tempfile.gettempdir()):
        text = f"TMPDIR is {given!r}, which cannot be used; files go to "
        advice = "Make that directory, or name another one."
        yield problem("temporary files", text + tempfile.gettempdir(), advice)
