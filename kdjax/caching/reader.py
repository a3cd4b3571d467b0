"""Gives a step the answers to its samples, from files mapped into memory."""

import functools
import hashlib
import json
import pathlib

import numpy as np
from jaxtyping import Array

from kdjax.caching import codec, manifest
from kdjax.caching.layout import CHECKSUMS, Layout, epoch_directory
from kdjax.checkpoints import StorageError
from kdjax.types import Outputs


class Reader:
    """The answers of one cache: a host's half, `rows`, and jit's half, `decode`."""

    def __init__(self, directory: pathlib.Path, told: dict):
        """Opens no file yet.

        Args:
          directory: of the cache.
          told: its manifest.
        """
        self.directory, self.layout = directory, Layout.of(told)
        self.identity = {"path": str(directory), "digest": manifest.digest(told)}
        for key in ("dtype", "top_k", "features"):
            self.identity[key] = told[key]
        # A batch straddles two epochs, or several of a tiny set.
        self._epoch = functools.lru_cache(maxsize=4)(self._mapped)
        self._sound: set[int] = set()

    def rows(self, index: np.ndarray, epoch: np.ndarray) -> dict[str, np.ndarray]:
        """What is stored of samples, each [b, ...].

        Args:
          index: [b], positions in the training split.
          epoch: [b], in which each is seen.

        Raises:
          StorageError: an epoch is not there, or damaged. Its files are compared with
            their checksums when the first row of it is read.
        """
        found = {
            name: np.empty((len(index), *shape), dtype)
            for name, (shape, dtype) in self.layout.arrays().items()
        }
        for number in np.unique(epoch):
            here = epoch == number
            for name, array in self._epoch(int(number)).items():
                found[name][here] = array[index[here]]
        return found

    def decode(self, rows: dict[str, Array]) -> Outputs:
        """The teacher's outputs, of what `rows` gave; pure."""
        return codec.decode(rows, self.layout)

    def check(self, epoch: int) -> None:
        """Reads an epoch's files and compares them with their checksums.

        Raises:
          StorageError: names the file.
        """
        where = epoch_directory(self.directory, epoch)
        try:
            sums = json.loads((where / CHECKSUMS).read_text())
            for name in self.layout.arrays():
                with (where / f"{name}.npy").open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != sums[f"{name}.npy"]:
                    raise StorageError(
                        _advice(where, f"{name}.npy differs from its checksum")
                    )
        except (OSError, ValueError, KeyError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise StorageError(_advice(where, reason)) from error
        self._sound.add(epoch)

    def _mapped(self, epoch: int) -> dict[str, np.ndarray]:
        if epoch not in self._sound:
            self.check(epoch)
        where, arrays = epoch_directory(self.directory, epoch), {}
        for name, (shape, dtype) in self.layout.arrays().items():
            array = np.load(where / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            wanted = ((self.layout.examples, *shape), dtype)
            if (array.shape, array.dtype) != wanted:
                reason = f"{name}.npy is {array.dtype} of shape {array.shape}"
                raise StorageError(_advice(where, f"{reason}, not {wanted}"))
            arrays[name] = array
        return arrays


def _advice(where: pathlib.Path, reason: str) -> str:
    return (
        f"cache: {where} cannot be used ({reason}). Delete that directory and run "
        "`python -m kdjax cache` again; it writes what is missing."
    )
