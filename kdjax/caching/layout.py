"""What is stored of a sample, in which arrays and files, and how many bytes that is."""

import dataclasses
import io
import pathlib

import numpy as np

from kdjax.paths.files import names

CHECKSUMS = "checksums.json"
DTYPES = ("float16", "float32")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """What a cache holds of each sample in each epoch."""

    examples: int  # samples of the training split
    classes: int
    members: int  # networks of an ensemble, each of whose logits are stored; 0 for one
    dtype: str  # of DTYPES; of logits and features
    top_k: int  # how many of the largest logits are stored; 0 for all
    features: dict[str, tuple[int, ...]]  # shape of a sample's: {"pooled": (64,)}

    @classmethod
    def from_json(cls, manifest: dict) -> "Layout":
        """The layout that a manifest describes among other things."""
        values = {field.name: manifest[field.name] for field in dataclasses.fields(cls)}
        shapes = {name: tuple(shape) for name, shape in values["features"].items()}
        return cls(**values | {"features": shapes})

    def as_json(self) -> dict:
        shapes = {name: list(shape) for name, shape in self.features.items()}
        return dataclasses.asdict(self) | {"features": shapes}

    def arrays(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Name -> shape and type of a sample's row; an epoch has `examples` rows."""
        dtype = np.dtype(self.dtype)
        lead = (self.members,) if self.members else ()
        arrays = {name: (shape, dtype) for name, shape in self.features.items()}
        if not self.top_k:
            return arrays | {"logits": ((*lead, self.classes), dtype)}
        number = np.dtype(np.uint16 if self.classes <= 1 << 16 else np.uint32)
        return arrays | {
            "logits": ((*lead, self.top_k), dtype),
            "classes": ((*lead, self.top_k), number),
            "rest": (lead, dtype),
        }

    def bytes_per_epoch(self) -> int:
        """Of the arrays' files; the checksums beside them are some hundred more."""
        total = 0
        for shape, dtype in self.arrays().values():
            whole = (self.examples, *shape)
            total += len(header(whole, dtype))
            total += int(np.prod(whole, dtype=np.int64)) * dtype.itemsize
        return total


def header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """What a .npy file of such an array begins with."""
    file, descr = io.BytesIO(), np.lib.format.dtype_to_descr(dtype)
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


def epoch_directory(directory: pathlib.Path, epoch: int) -> pathlib.Path:
    """It gets this name when all that is in it is written."""
    return directory / f"{epoch:05d}"


def missing(directory: pathlib.Path, epochs: int) -> list[int]:
    """Of the first so many epochs, those that are not there."""
    existing = set(names(directory))
    epochs = [(n, epoch_directory(directory, n)) for n in range(epochs)]
    return [
        n for n, e in epochs if e.name not in existing or not (e / CHECKSUMS).exists()
    ]
