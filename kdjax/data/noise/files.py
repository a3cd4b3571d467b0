"""Labels from a file: noise from elsewhere, or from human annotators."""

import pathlib
import zipfile

import numpy as np

from kdjax import paths
from kdjax.data.split import DataError


def from_file(
    labels: np.ndarray, num_classes: int, *, path: str | pathlib.Path
) -> np.ndarray:
    """Reads n labels: .npy, .npz with one array, or text with blanks or lines between.

    Label i is that of sample i of the split as `load_split` gives it; nothing is
    unpickled. Files made for the pickles of CIFAR have another order; their
    effective_rate in `describe` is then about (K - 1) / K. Raises DataError.
    """
    path = paths.local(path, "config.data.noise.path")
    readers = {".npy": _read_npy, ".npz": _read_npz}
    expected = f"expected {len(labels)} integers from 0 to {num_classes - 1}"
    try:
        noisy = readers.get(path.suffix, _read_text)(path)
    except (OSError, ValueError, OverflowError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"noise file {path} cannot be read ({error}); {expected}, as .npy, .npz "
            "or text."
        ) from error
    if noisy.shape != (len(labels),) or not np.issubdtype(noisy.dtype, np.integer):
        raise DataError(
            f"noise file {path} holds {noisy.dtype} of shape {noisy.shape}; {expected},"
            f" shape ({len(labels)},)."
        )
    bad = np.flatnonzero((noisy < 0) | (noisy >= num_classes))
    if bad.size:
        raise DataError(
            f"noise file {path}: label {bad[0]} is {noisy[bad[0]]}; {expected} "
            f"({bad.size} are out of range)."
        )
    return noisy.astype(np.int32)


def _read_npy(path: pathlib.Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_npz(path: pathlib.Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            names = ", ".join(archive.files) or "none"
            raise ValueError(f"it has {len(archive.files)} arrays: {names}")
        return archive[archive.files[0]]


def _read_text(path: pathlib.Path) -> np.ndarray:
    return np.array([int(word) for word in path.read_text().split()], np.int64)
