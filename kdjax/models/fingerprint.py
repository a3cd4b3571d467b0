"""What a function is, in words that are the same in another process."""

import dataclasses
import functools
import hashlib
import inspect
import pathlib
import re
import sys
import types
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def digest(text: str) -> str:
    """Eight letters that stand for a text in a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def without_addresses(value: Any) -> str:
    """The `repr` of an object, without its place in this process's memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def describe(value: Any, inside: tuple[int, ...] = ()) -> str:
    """Where a function is defined and what it holds; of arrays their content.

    A closure, a partial or a bound method is another function where what it holds is
    another. `inside` are the functions that hold this one.

    >>> describe(digest)
    'kdjax.models.fingerprint.digest()'
    >>> describe(functools.partial(digest, text="a"))
    "partial(kdjax.models.fingerprint.digest(), (), {'text': 'a'})"
    """
    if id(value) in inside:
        return "itself"
    inside = (*inside, id(value))
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, value.keywords)
        return f"partial({', '.join(describe(part, inside) for part in parts)})"
    if inspect.ismethod(value):
        return f"{describe(value.__self__, inside)}.{value.__name__}"
    if wrapped := getattr(value, "__wrapped__", None):  # as of jax.jit
        return describe(wrapped, inside)
    if inspect.isfunction(value):
        # Several functions of one place are called so.
        code = _code(value.__code__) if value.__name__ == "<lambda>" else ""
        return f"{_place(value)}{code}({_held(value, inside)})"
    if isinstance(value, type):
        return _place(value)
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, Mapping):
        items = (f"{key!r}: {describe(one, inside)}" for key, one in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(describe(one, inside) for one in value)})"
    if isinstance(value, np.ndarray | jax.Array) and not _is_key(value):
        array = np.asarray(value)
        content = hashlib.sha256(array.tobytes()).hexdigest()
        return f"{array.dtype}{array.shape}:{content}"
    if isinstance(value, set | frozenset):  # whose order is another in each process
        return f"{{{', '.join(sorted(describe(one, inside) for one in value))}}}"
    if (held := attributes(value)) is not None:
        return f"{_place(type(value))}{describe(held, inside)}"
    return without_addresses(value)


def attributes(value: Any) -> dict[str, Any] | None:
    """What an object is made of, of whose `repr` its class says nothing, or too little.

    That of a dataclass has of functions their names alone, and of arrays both ends.
    """
    if dataclasses.is_dataclass(value):
        names = [one.name for one in dataclasses.fields(value)]
        return {n: getattr(value, n, None) for n in names if n != "parent"}
    if type(value).__repr__ is object.__repr__:
        return getattr(value, "__dict__", None)
    return None


def is_told(value: Any) -> bool:
    """Whether `repr` says all of a value, as of numbers, texts and classes."""
    if isinstance(value, Mapping):
        return all(map(is_told, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_told, value))
    return isinstance(value, int | float | str | type | np.dtype | None)


def _code(code: types.CodeType) -> str:
    """What a function does, as Python compiled it."""
    constants = [
        _code(one) if isinstance(one, types.CodeType) else describe(one)
        for one in code.co_consts
    ]
    return digest(repr((code.co_code, code.co_names, constants)))


def _held(function: types.FunctionType, inside: tuple[int, ...]) -> str:
    """The defaults and the closure of a function."""
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # not set yet
            held.append("nothing")
    return ", ".join(describe(one, inside) for one in held)


def _place(definition: Any) -> str:
    """module.name; of a script its file's name stands for the module."""
    module = definition.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec else pathlib.Path(file or module).stem
    return f"{module}.{definition.__qualname__}"


def _is_key(value: Any) -> bool:
    return jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
