"""Reads or opens a whole split: of a prepared TFDS set, or of one .npz file."""

import pathlib

from kdjax import paths
from kdjax.data import npz
from kdjax.data.errors import DataError
from kdjax.data.images.crops import Geometry
from kdjax.data.split import Split
from kdjax.data.tfds.names import default_data_dir


def load_split(
    name: str,
    split: str,
    *,
    data_dir: str | pathlib.Path | None = None,
    crops: Geometry | None = None,
    skip_at_most: int = 0,
    threads: int = 0,
) -> Split:
    """Loads a split of a prepared set, or of an .npz file, into memory.

    Takes any TFDS set in array_record format with features `image` and `label`, and any
    file of the form that `kdjax.data.npz` describes, which needs NumPy alone.

    The order is TFDS's, or the file's, the same on every machine. The network is never
    touched. The embedded set is prepared on first use; if `data_dir` cannot be written,
    that happens in a temporary directory, with a warning.

    Args:
      name: "cifar100", "my_set/config", "my_set:1.0.0"; or "my_file.npz", looked for
        in `data_dir`, or from the current directory on when that is left out.
      split: "train", "test", or a slice such as "train[:45000]".
      data_dir: where TFDS keeps its sets; $TFDS_DATA_DIR or ~/tensorflow_datasets when
        left out.
      crops: of a set whose pictures stay on disk, and are of any size; None reads them
        into memory.
      skip_at_most: how many unreadable pictures on disk a training puts up with.
      threads: that decode pictures on disk; 0: one a core.

    Raises:
      DataError: the set is not prepared, not readable or not a set of labelled uint8
        images.
    """
    if npz.is_npz(name):
        if crops is not None:
            raise DataError(
                f"{name} cannot be streamed: an .npz file is read as a whole. Expected "
                "the name of a prepared TFDS set."
            )
        return npz.load_npz(
            paths.local(pathlib.Path(data_dir or "", name), "data_dir"), split
        )
    # Only here, so that an .npz file can be read where there is no TFDS.
    from kdjax.data.tfds.records import load_records

    data_dir = default_data_dir() if data_dir is None else pathlib.Path(data_dir)
    if crops is None:
        return load_records(name, split, data_dir)
    from kdjax.data.load_stored import load_stored

    how = {"geometry": crops, "skip_at_most": skip_at_most, "threads": threads}
    return load_stored(name, split, data_dir, **how)


def stored_bytes(name: str, data_dir: str | pathlib.Path | None = None) -> int:
    """Size on disk of a prepared set, all splits together; 0 of an .npz file."""
    if npz.is_npz(name):
        return 0
    from kdjax.data.tfds.records import size_of

    return size_of(name, pathlib.Path(data_dir or default_data_dir()))


def crops_of(identity: dict) -> Geometry | None:
    """The crops of a split whose pictures stay on disk; None of one in memory."""
    if "crops" not in identity:
        return None
    told = identity["crops"]
    sizes = tuple(tuple(pair) for pair in told.get("sizes", ()))
    return Geometry(**told | {"sizes": sizes})


def exact_name(name: str, identity: dict) -> str:
    """The name that loads again, in its very version, what a run knew as `name`."""
    return (
        f"{identity['name']}:{identity['version']}" if "version" in identity else name
    )
