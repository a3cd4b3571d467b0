"""Whether a finished run was made from the images that its config names now."""

import pathlib

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data import npz
from kdjax.data.split import DataError
from kdjax.experiment.data import prepared_source
from kdjax.reporting.results import SUMMARY, read_summary


def check_prepared(workdir: pathlib.Path, section: dict) -> None:
    """Refuses another version of a folder's set, or one of other files, if it is there.

    Of earlier versions of kdjax runs do not say which they had.
    """
    if not (workdir / SUMMARY).exists():
        return
    was, now = read_summary(workdir / SUMMARY).get("prepared"), prepared_source(section)
    if not was or not now or was == now:
        return
    name = section["name"]
    what = f"is {now['version']} now, and was {was['version']}"
    if was["version"] == now["version"]:
        what = "was prepared anew, of other files or splits,"
    raise InputError(
        f"--workdir: {workdir} was made with another set: config.data.name is {name}, "
        f"which {what} for this run. Expected a new --workdir. A name with its "
        f"version, {name.partition(':')[0]}:{now['version']}, stays the same set."
    )


def check_arrays(workdir: pathlib.Path, section: dict, digests: dict) -> None:
    """Refuses an .npz file that was written anew with other images, if it is there."""
    if not npz.is_npz(section["name"]) or not (workdir / SUMMARY).exists():
        return
    identity = read_summary(workdir / SUMMARY).get("identity") or {}
    where, name = section["data_dir"], section["name"]
    path = paths.parse(where, "data_dir") / name if where else paths.parse(name, "data")
    for part in ("train", "test"):
        was = (identity.get("data") or {}).get(part) or {}
        key = f"{path} {was.get('split')}"
        if "sha256" in was and key not in digests:
            digests[key] = _sum_of(path, was["split"])
        if "sha256" in was and digests[key] not in (None, was["sha256"]):
            raise InputError(
                f"--workdir: {workdir} was made with other images or labels than "
                f"{was['split']} of {path} has now. Expected those, or a new --workdir."
            )


def _sum_of(path: pathlib.Path, split: str) -> str | None:
    """Of the content of a split; None where it is gone: what is finished stays."""
    try:
        return npz.load_npz(path, split).identity["sha256"]
    except DataError:
        return None
