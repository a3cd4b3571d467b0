"""Label noise: pure functions of labels and seed, the same on every machine.

Every model takes `labels` int [n] and `num_classes`, and returns int32 [n]; all but
"file" take `rate`, 0 to 1, and `seed`, 0 to 2**63 - 1, and raise ValueError for values
out of range. Position i is sample i of the split, so neither batches nor hosts matter.
"""

import hashlib
import inspect
import pathlib

import numpy as np

from kdjax import paths
from kdjax.data.noise import models
from kdjax.data.npz import Arrays, read_npy
from kdjax.data.split import DataError
from kdjax.paths.files import is_refused, read_text, text_of


def from_file(
    labels: np.ndarray, num_classes: int, *, path: str | pathlib.Path
) -> np.ndarray:
    """Reads n labels: .npy, .npz with one array, or text with blanks or lines between.

    Label i is that of sample i of the split as `load_split` gives it; nothing is
    unpickled. Files made for the pickles of CIFAR have another order; their
    effective_rate in `describe` is then about (K - 1) / K. Raises DataError.
    """
    path = paths.parse(path, "config.data.noise.path")
    expected = f"expected {len(labels)} integers from 0 to {num_classes - 1}"
    try:
        noisy = _read(path)
    except Exception as error:  # NumPy and zipfile raise seven kinds for other files
        if is_refused(error) and not isinstance(error, MemoryError):
            raise
        raise DataError(
            f"noise file {path} cannot be read ({text_of(error)}); {expected}, as "
            ".npy, .npz or text."
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


def _read(path: pathlib.Path) -> np.ndarray:
    if path.suffix == ".npy":
        with path.open("rb") as file:
            return read_npy(file)
    if path.suffix != ".npz":
        return np.array([int(word) for word in read_text(path).split()], np.int64)
    with path.open("rb") as file, Arrays(file) as arrays:
        if len(arrays) != 1:
            names = ", ".join(arrays) or "none"
            raise ValueError(f"it has {len(arrays)} arrays: {names}")
        return next(iter(arrays.values()))


NOISES = {
    "symmetric": models.symmetric,
    "asymmetric_cifar10": models.asymmetric_cifar10,
    "asymmetric_cifar100": models.asymmetric_cifar100,
    "superclass_cifar100": models.superclass_cifar100,
    "pair_flip": models.pair_flip,
    "file": from_file,
}


def describe(
    labels: np.ndarray, noisy_labels: np.ndarray, num_classes: int, *, name, **values
) -> dict:
    """What a run stores of its noise, as JSON.

    Labels are int [n], before and after. Returns name; the model's parameters, which
    are `values` or the defaults; effective_rate, the fraction of labels that differ;
    sha256 of the noisy labels; for K <= 100 changed_per_class, by the class before.

    >>> facts = describe(
    ...     np.array([0, 0, 1]), np.array([0, 1, 1]), 2, name="pair_flip", rate=0.5
    ... )
    >>> facts["seed"], round(facts["effective_rate"], 3), facts["changed_per_class"]
    (888, 0.333, [1, 0])
    """
    signature = inspect.signature(NOISES[name]).parameters.values()
    defaults = {p.name: p.default for p in signature if p.default is not p.empty}
    facts = {"name": name} | {
        key: value if isinstance(value, str | int | float | None) else str(value)
        for key, value in (defaults | values).items()
    }
    before, after = (np.asarray(x, "<i4") for x in (labels, noisy_labels))
    changed = before != after
    facts["effective_rate"] = float(changed.mean())
    facts["sha256"] = hashlib.sha256(after.tobytes()).hexdigest()
    if num_classes <= 100:
        counts = np.bincount(before[changed], minlength=num_classes)
        facts["changed_per_class"] = counts.tolist()
    return facts
