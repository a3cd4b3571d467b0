"""Names whose values are imported when they are asked for. Imports no JAX."""

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class LazyTable(Mapping):
    """A read-only table of names.

    An entry that is a string, "package.module" or "package.module:attribute", stands
    for what it names and is imported by the first look-up; any other is itself.
    Iteration, `in` and `len` import nothing.

    >>> table = LazyTable({"root": "math:sqrt", "two": 2})
    >>> list(table), table["root"](9.0), table["two"]
    (['root', 'two'], 3.0, 2)
    """

    def __init__(self, entries: Mapping[str, Any]):
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        entry = self._entries[name]
        if not isinstance(entry, str):
            return entry
        path, _, attribute = entry.partition(":")
        module = importlib.import_module(path)
        return getattr(module, attribute) if attribute else module

    def __contains__(self, name: object) -> bool:  # Mapping's own would import
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def lazy_package(package: str, **modules: str):
    """(`__all__`, `__getattr__`, `__dir__`) of a package that imports when asked.

    Args:
      package: its `__name__`.
      **modules: submodule -> those of its names that the package offers as its own.
    """
    names = {n: f"{package}.{m}:{n}" for m in modules for n in modules[m].split()}
    table = LazyTable({m: f"{package}.{m}" for m in modules} | names)

    def get(name: str) -> Any:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return table[name]

    return sorted(names or modules), get, lambda: sorted(table)


def imported(where: str, name: str) -> Callable:
    """The function that "package.module:function" names; `where` opens its errors.

    Raises:
      ValueError: there is no such module or function.

    >>> imported("example", "math:sqrt")(9.0)
    3.0
    """
    path, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(path)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{where}: {name!r}: cannot import {path!r} ({error}); expected "
            '"package.module:function" of an installed package or of PYTHONPATH; '
            "python -m kdjax, not kdjax alone, finds those of the current folder too."
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        near = difflib.get_close_matches(attribute, dir(module), n=3)
        raise ValueError(
            f"{where}: {name!r}: {path} has no function {attribute!r}"
            f"{'; near are ' + ', '.join(near) if near else ''}."
        )
    return function
