"""Opens the pickles of the CIFAR "python" archives without trusting them.

A pickle is a program. This reader lets it build numbers, strings, lists, dicts and
NumPy arrays of numbers, and refuses everything else.
"""

import io
import pickle

import numpy as np

from kdjax.data.split import DataError


def load(content: bytes, where: str) -> dict:
    """Reads one pickled dict, written by Python 2 or 3; `where` names it in errors."""
    try:
        batch = _Restricted(io.BytesIO(content), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    except Exception as error:  # a damaged pickle may raise nearly anything
        came = f"not a readable pickle ({error})"
        raise DataError(f"{where}: {came}; fetch the archive anew.") from error
    if not isinstance(batch, dict):
        raise DataError(f"{where}: holds a {type(batch).__name__}; expected a dict.")
    return batch


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        wanted = f"{module}.{name}"
        if wanted in (
            "numpy.core.multiarray._reconstruct",
            "numpy._core.multiarray._reconstruct",
        ):
            # A fresh function each time: a pickle may set attributes on what it gets.
            return lambda subtype, shape, dtype: np.ndarray((0,), np.uint8)
        if wanted == "numpy.ndarray":
            return _ArrayType()
        if wanted == "numpy.dtype":
            return lambda spec, align=False, copy=False: _plain_dtype(spec)
        raise DataError(
            f"the pickle asks for {wanted}; only NumPy arrays and plain containers are "
            "allowed. The official archives hold nothing else: do not use this file."
        )


class _ArrayType:
    """Replaces the array type, an argument of `_reconstruct` that is not needed."""


def _plain_dtype(spec: str | bytes) -> np.dtype:
    dtype = np.dtype(spec.decode() if isinstance(spec, bytes) else spec)
    if dtype.kind not in "uif":
        raise DataError(f"the pickle holds an array of {dtype}; expected numbers.")
    return dtype
