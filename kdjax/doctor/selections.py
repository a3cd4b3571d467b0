"""Directories that are no trainings: selections, and weights from elsewhere."""

import pathlib

import numpy as np

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.data.npz import Arrays
from kdjax.doctor.documents import different
from kdjax.doctor.findings import Findings, guarded, note, ok, problem
from kdjax.doctor.holder import examine_holder
from kdjax.doctor.sources import examine_versions
from kdjax.doctor.states import examine_steps
from kdjax.experiment.data import KEEP, load_keep
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.paths.files import is_refused, text_of
from kdjax.paths.json_files import read_json
from kdjax.runner.workdir import IMPORTED, SELECTION

SELECT_AGAIN = "Delete it and run `python -m kdjax select` again, with the same config."
IMPORT_AGAIN = "Delete the directory and run `python -m kdjax import` again."


def is_selection(path: pathlib.Path) -> bool:
    return (path / SELECTION).exists() or (path / KEEP).exists()


def examine_selection(workdir: pathlib.Path, quick: bool) -> Findings:
    yield from guarded(workdir, SELECT_AGAIN, examine_holder, workdir)
    keep = yield from guarded(
        workdir / KEEP, SELECT_AGAIN, examine_keep, workdir / KEEP
    )
    path = workdir / SELECTION
    if not path.exists():
        text = "is missing: the selection is not finished"
        yield note(path, text, "The same command writes it.")
    elif keep is not None:
        yield from guarded(path, SELECT_AGAIN, _record, path, keep)


def examine_keep(path: pathlib.Path) -> Findings:
    """selection.npz alone; returns which samples are kept."""
    keep, labels = load_keep(str(path), "it")
    with path.open("rb") as file, Arrays(file) as arrays:
        for name in arrays:
            try:
                arrays[name]  # compared with the checksum that the archive has
            except Exception as error:  # NumPy and zipfile raise six kinds
                if is_refused(error):
                    raise
                raise InputError(f"{name} cannot be read: {text_of(error)}") from error
    if keep.shape != labels.shape or keep.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"keep is of shape {keep.shape} and labels are {labels.dtype} of shape "
            f"{labels.shape}; expected one of each for a sample"
        )
    if labels.min(initial=0) < 0:
        raise InputError(f"a label is {labels.min()}; expected 0 or more")
    if not keep.any():
        yield problem(path, "keeps no sample", "Select with other settings.")
    yield ok(path, f"keeps {int(keep.sum()):,} of {len(keep):,} samples")
    return keep


def _record(path: pathlib.Path, keep: np.ndarray) -> Findings:
    record = read_json(path, "the record of a selection")
    counts = {"samples": len(keep), "kept": int(keep.sum())}
    other = different({key: record.get(key) for key in counts}, counts)
    if other:
        text = f"does not describe {KEEP}: in both, {'; '.join(other)}"
        yield problem(path, text, SELECT_AGAIN)
    else:
        yield ok(path, f"describes {KEEP}")


def examine_import(workdir: pathlib.Path, quick: bool) -> Findings:
    yield from guarded(workdir, IMPORT_AGAIN, examine_holder, workdir)
    directory = workdir / CHECKPOINTS
    steps = yield from guarded(directory, IMPORT_AGAIN, examine_steps, directory, quick)
    if not steps or not steps[-1].meta:
        text = f"says that weights were imported, and {directory} has none to read"
        yield problem(workdir / IMPORTED, text, IMPORT_AGAIN)
        return
    path, meta = workdir / IMPORTED, steps[-1].meta
    yield from guarded(path, IMPORT_AGAIN, _imported, path, meta)
    yield from examine_versions(workdir, meta.get("versions", {}))
    if not quick:
        yield from guarded(workdir, IMPORT_AGAIN, _digest, workdir, meta)


def _imported(path: pathlib.Path, meta: dict) -> Findings:
    record = read_json(path, "the record of an import")
    other = different(record, {key: meta.get(key) for key in record})
    if other:
        text = f"is of other weights than the checkpoint: {'; '.join(other[:3])}"
        yield problem(path, text, IMPORT_AGAIN)
    else:
        yield ok(path, "describes the checkpoint")


def _digest(workdir: pathlib.Path, meta: dict) -> Findings:
    from kdjax.weights import imported

    (name, row), *_ = meta["students"].items()
    variables = checkpoints.read_variables(workdir / CHECKPOINTS, meta["step"], name)
    moments = meta["data"]["normalisation"]
    digest = imported.digest(variables, moments, [row["model"]])
    file = meta["imported"]["file"]
    if digest == meta["imported"]["digest"]:
        yield ok(workdir, f"holds the weights that were in {file}")
    else:
        yield problem(workdir, f"holds other weights than {file} had", IMPORT_AGAIN)
