"""What a version promises, one name a line: python -m tests.public_signatures

Writes signatures.txt: functions and classes of the public modules, methods with the
arguments that configs give them, networks, and config keys with what they take.
"""

import ast
import inspect
import pathlib
import re

import kdjax
from kdjax import losses, models, supervision, types
from kdjax.experiment import fields, schema
from kdjax.methods import METHODS

STORED = pathlib.Path(__file__).parent / "signatures.txt"
TYPES = ("Outputs", "Signals", "Supervision")
SUBMODULES = ("losses", "methods", "models", "supervision", "types", "api")


def current() -> list[str]:
    """The lines of the code as it is."""
    api = [name for name in kdjax.__all__ if name not in SUBMODULES]
    functions = [name for name in models.__all__ if name not in ("MODELS", "provided")]
    lines = _of("kdjax", kdjax, api)
    lines += _of("kdjax.losses", losses, losses.__all__)
    lines += _of("kdjax.supervision", supervision, supervision.__all__)
    lines += _of("kdjax.types", types, TYPES)
    lines += _of("kdjax.models", models, functions)
    lines += [f"method {name}{_signature(METHODS[name].build)}" for name in METHODS]
    lines += [f"network {name}" for name in models.MODELS]
    lines += [_of_key(*key) for key in fields.keys(schema.Config)]
    return sorted(lines)


def _of_key(path: str, field, default) -> str:
    limits, choices = field.metadata["limits"], field.metadata["choices"]
    kind = "|".join(choices) or fields.describe(field.type, limits)
    return f"config.{path}: {kind} = {fields.jsonable(default)!r}"


def _of(where: str, module, names) -> list[str]:
    objects = {name: getattr(module, name) for name in names}
    return [f"{where}.{name}{_signature(one)}" for name, one in objects.items()]


def _signature(function) -> str:
    """Names, order and defaults; annotations may become wider at any time."""
    parameters = [
        p.replace(annotation=p.empty, default=_shown(p.default))
        for p in inspect.signature(function).parameters.values()
    ]
    return str(inspect.Signature(parameters))


class _Shown(str):
    """A default whose repr is its text."""

    __repr__ = str.__str__


def _shown(default):
    if default is inspect.Parameter.empty:
        return default
    text = repr(default)
    if isinstance(default, frozenset):  # whose order differs from process to process
        text = f"frozenset({sorted(default)})"
    if text.startswith("<"):  # a function, or "made anew for each object"
        text = getattr(default, "__name__", "...")
    return _Shown(text)


def breaks(before: str, after: str) -> str:
    """Why code or configs written for `before` may fail with `after`; "" if none."""
    if before.startswith("config."):
        return _breaks_configs(*before.split(" = "), *after.split(" = "))
    old, new = _parameters(before), _parameters(after)
    if gone := [name for name in old if name not in new]:
        return f"{', '.join(gone)}: no longer taken"
    added = [name for name in new if name not in old]
    if needed := [name for name in (*added, *old) if _now_needed(name, old, new)]:
        return f"{', '.join(needed)}: has to be given now"
    positions = [name for name, (_, positional) in old.items() if positional]
    if positions != [name for name, (_, p) in new.items() if p][: len(positions)]:
        return "arguments by position mean others"
    if moved := [name for name in old if old[name][0] != new[name][0]]:
        return f"{', '.join(moved)}: another default"
    return ""


def _breaks_configs(before: str, default: str, after: str, new_default: str) -> str:
    choices, new_choices = (set(re.split(": |[|]", t)) for t in (before, after))
    if not choices <= new_choices:
        return "a value that was right may be refused"
    return "another default" if default != new_default else ""


def _now_needed(name: str, old: dict, new: dict) -> bool:
    return new[name][0] is None and (name not in old or old[name][0] is not None)


def _parameters(line: str) -> dict[str, tuple[str | None, bool]]:
    """Of a line: name -> (default or None, whether it may be given by position)."""
    text = line[line.index("(") :] if "(" in line else "()"
    arguments = ast.parse(f"def f{text}: ...").body[0].args
    by_position = [*arguments.posonlyargs, *arguments.args]
    fill = [None] * (len(by_position) - len(arguments.defaults))
    pairs = list(zip(by_position, [*fill, *arguments.defaults], strict=True))
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    rest = {"any other keyword": ("", False)} if arguments.kwarg else {}
    return (
        {a.arg: (d and ast.unparse(d), True) for a, d in pairs}
        | {a.arg: (d and ast.unparse(d), False) for a, d in named}
        | rest
    )


if __name__ == "__main__":
    STORED.write_text("\n".join(current()) + "\n")
