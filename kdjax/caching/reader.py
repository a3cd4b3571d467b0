"""Gives a step its samples' teacher outputs, from files mapped into memory."""

import functools
import hashlib
import pathlib

import numpy as np
from jaxtyping import Array

from kdjax.caching import codec, manifest
from kdjax.caching.layout import CHECKSUMS, Layout, epoch_directory
from kdjax.checkpoints import StorageError
from kdjax.paths.files import is_refused, local_copy, text_of
from kdjax.paths.json_files import read_json
from kdjax.types import Outputs


class Reader:
    """One cache: `rows` on the host, `decode` inside jit."""

    def __init__(self, directory: pathlib.Path, record: dict):
        """Opens no file yet; `record` is the manifest."""
        self.directory, self.layout = directory, Layout.from_json(record)
        self.identity = {"path": str(directory), "digest": manifest.digest(record)}
        self.identity |= {key: record[key] for key in ("dtype", "top_k", "features")}
        # A batch straddles two epochs, or several of a tiny set.
        self._epoch = functools.lru_cache(maxsize=4)(self._open)
        self._verified: set[int] = set()

    def rows(self, index: np.ndarray, epoch: np.ndarray) -> dict[str, np.ndarray]:
        """What is stored of samples at `index` [b] in `epoch` [b], each [b, ...].

        StorageError where an epoch is not there, or damaged: its files are compared
        with their checksums when the first row of it is read.
        """
        rows = {
            name: np.empty((len(index), *shape), dtype)
            for name, (shape, dtype) in self.layout.arrays().items()
        }
        for number in np.unique(epoch):
            here = epoch == number
            for name, array in self._epoch(int(number)).items():
                rows[name][here] = array[index[here]]
        return rows

    def decode(self, rows: dict[str, Array]) -> Outputs:
        """The teacher's outputs, of what `rows` gave; pure."""
        return codec.decode(rows, self.layout)

    def check(self, epoch: int) -> None:
        """Raises StorageError where an epoch's files are not there, or damaged."""
        self._verified.discard(epoch)
        self._open(epoch)

    def _open(self, epoch: int) -> dict[str, np.ndarray]:
        where, arrays = epoch_directory(self.directory, epoch), {}
        try:
            checksums = read_json(where / CHECKSUMS, "a list of checksums", {str: str})
            for name in self.layout.arrays():
                checksum = checksums[f"{name}.npy"]
                # Of a bucket a copy, which lies here for as long as it is mapped.
                with local_copy(where / f"{name}.npy") as path:
                    if epoch not in self._verified and _sha256(path) != checksum:
                        raise _unusable(where, f"{name}.npy differs from its checksum")
                    arrays[name] = np.lib.format.open_memmap(path, mode="r")
        except StorageError:
            raise
        except Exception as error:  # NumPy raises six kinds for other headers
            if is_refused(error) and not isinstance(error, MemoryError):
                raise StorageError(
                    f"cache: {where} cannot be read now ({error}). Look at its "
                    "permissions and at the disk, then run the same command again."
                ) from error
            raise _unusable(where, text_of(error)) from error
        for name, (shape, dtype) in self.layout.arrays().items():
            array, expected = arrays[name], ((self.layout.examples, *shape), dtype)
            if (array.shape, array.dtype) != expected:
                reason = f"{name}.npy is {array.dtype} of shape {array.shape}"
                raise _unusable(where, f"{reason}, not {expected}")
        self._verified.add(epoch)
        return arrays


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unusable(where: pathlib.Path, reason: str) -> StorageError:
    return StorageError(
        f"cache: {where} cannot be used ({reason}). Delete that directory and run "
        "`python -m kdjax cache` again; it writes what is missing."
    )
