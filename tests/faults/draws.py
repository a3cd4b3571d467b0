"""Draws arguments for any annotated function, right ones and wrong ones."""

import collections.abc
import inspect
import types
import typing

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from hypothesis import strategies as st

AXES = {"batch": (2, 1, 3, 0), "classes": (3, 2, 4, 1)}  # sizes; of any other axis:
ANY_AXIS = (2, 3, 1, 4)
# Arguments whose numbers mean something: name -> the axis that they point into.
POINTS_INTO = {"labels": "classes", "index": "samples", "negatives": "samples"}
PROBABILITIES = ("target", "probabilities", "remembered", "targets")
UNIT = ("anchor", "bank", "queue", "embedding")
NUMBERS = {"log_zero": -4.0, "power": 1.0, "eta": 0.75, "label_smoothing": 0.1}

DTYPES = (
    *(np.bool_, np.int8, np.uint8, np.int32, np.int64, np.uint64),
    *(np.float16, ml_dtypes.bfloat16, np.float64, ml_dtypes.float8_e4m3fn),
    *(np.complex64, np.str_, np.object_, "datetime64[s]"),
)
SPECIAL = (np.inf, -np.inf, np.nan, 1e30, 3e38, -3e38, 1e-40, 0.0, -1.0, 2.0**62)


class Odd:
    """An object that is nothing and cannot be shown."""

    def __repr__(self):
        raise RuntimeError("it cannot be shown")


WRONG = (
    *(None, "", "a", "4", b"x", (), [], {}, {"a": 1}, {1}, [[1.0], [2.0, 3.0]]),
    *(True, -1, 0, 1, 2, 7, 2.5, -0.5, 1e-30, 1e30, np.nan, np.inf, -np.inf, 1j),
    *(10**40, 10**5000, -(2**31) - 1, 2**62, 2**64, Odd(), int, len, "x" * 1000),
    *([1.0, 2.0], (None,), ["a", "b"], (np.nan,), [[[]]], [10**400]),
    *(np.float32(0.5), np.float16(0.5), np.int8(-3), np.array(0.5), np.array("a")),
    *(np.ones(3), np.zeros((2, 2)), np.ones((2, 3)), np.zeros(0), np.zeros((0, 3))),
    *(np.arange(3), np.full((2, 3), np.nan), np.array([None, 1]), np.float64(1e300)),
    np.array(["a", "b"]),
)


NUMBER_TYPES = (
    np.array(0.5, ml_dtypes.float8_e4m3fn),
    *(jnp.asarray(0.5, t) for t in (jnp.float8_e4m3fn, jnp.bfloat16, jnp.float16)),
    *(2**31 + 1, -(2**31) - 1, np.int64(2**40), np.uint64(2**63), jnp.int8(1)),
)


class Change(typing.NamedTuple):
    """What is done to one right argument."""

    argument: int
    kind: int
    detail: int


changes = st.builds(Change, *(st.integers(0, 2**16),) * 3)


class Plan(typing.NamedTuple):
    """Of the arguments of one call."""

    sizes: int
    seed: int
    changes: list[Change]


plans = st.builds(
    Plan,
    st.integers(0, 2**16),
    st.integers(0, 2**16),
    st.lists(changes, min_size=1, max_size=3),
)


class Arguments:
    """Draws the arguments of one call; `sizes` has those of the axes."""

    def __init__(self, plan: Plan, special: dict | None = None):
        self.random = np.random.default_rng(plan.seed)
        self.order, self.sizes, self.special = plan.sizes, {}, special or {}

    def size(self, axis: str) -> int:
        if axis.isdigit():
            return int(axis)
        if axis not in self.sizes or axis == "_":
            choices = AXES.get(axis, ANY_AXIS)
            rank = len(self.sizes) if axis not in AXES else list(AXES).index(axis)
            self.sizes[axis] = choices[(self.order >> (2 * (rank % 8))) % len(choices)]
        return self.sizes[axis]

    def shape(self, dim_str: str) -> tuple[int, ...]:
        """Sizes of the axes; "*batch" is one axis mostly, else none or two."""
        shape = ()
        for axis in dim_str.split():
            count = 1
            if axis.startswith("*"):
                count = (0, 1, 1, 1, 1, 1, 1, 2)[(self.order >> 13) % 8]
            shape += (self.size(axis.removeprefix("*")),) * count
        return shape

    def right(self, name: str, annotation):
        """A value of the annotated type, in range."""
        if name in self.special:
            return self.special[name](self)
        if hasattr(annotation, "dim_str"):
            return self.array(name, annotation)
        origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (typing.Union, types.UnionType):
            choices = [one for one in inner if one is not np.number]
            return self.right(name, choices[self.random.integers(len(choices))])
        if annotation is types.NoneType:
            return None
        if annotation is bool:
            return bool(self.random.integers(2))
        if annotation in (int, float) and name in NUMBERS:
            return NUMBERS[name]
        if annotation is int:
            value = self.sizes.get(name, 1)
            self.sizes[name] = value
            return value
        if annotation is float:
            return float(self.random.choice([0.25, 0.5, 1.0]))
        if origin in (tuple, collections.abc.Sequence):
            return tuple(self.right(name, inner[0]) for _ in range(2))
        if origin is dict:
            return {}
        raise NotImplementedError(f"{name}: {annotation}: say in the test what it is")

    def array(self, name: str, annotation):
        shape = self.shape(annotation.dim_str)
        types_of = str(annotation.dtypes)
        if "bool" in types_of or "Any" in types_of:
            value = self.random.integers(0, 2, shape) > 0
        elif "int" in types_of and "float" not in types_of:
            most = self.sizes.get(POINTS_INTO.get(name), 2)
            value = self.random.integers(0, max(most, 1), shape).astype(np.int32)
        else:
            value = self.floats(name, shape)
        if annotation.array_type is jax.Array:
            return jnp.asarray(value)
        return np.asarray(value)

    def floats(self, name: str, shape):
        if not shape:
            return np.float32(NUMBERS.get(name, self.random.choice([0.5, 1.0])))
        value = self.random.normal(size=shape)
        kind = self.random.integers(6)
        if kind == 1:  # ties
            value = np.round(value)
        elif kind == 2:
            value = np.zeros(shape)
        elif kind == 3:
            value = value * 30 + 100
        elif kind == 4:
            value = value * 1e-40
        if name == "temperature":
            return (np.abs(value) + 0.5).astype(np.float32)
        if name in PROBABILITIES:
            value = np.exp(np.clip(value, -30, 30))
            value = value / value.sum(-1, keepdims=True)
        if name in UNIT:
            value = value + 1e-3
            value = value / np.linalg.norm(value, axis=-1, keepdims=True)
        return value.astype(np.float32)

    def changed(self, value, change: Change):
        """Another rank, size, type or content; or no array at all."""
        kind = getattr(getattr(value, "dtype", None), "kind", "O")
        if kind == "O" or change.kind % 6 == 5:  # a key of randomness is "O" too
            return WRONG[change.detail % len(WRONG)]
        if kind not in "fiub":
            return WRONG[change.detail % len(WRONG)]
        value, kind = np.asarray(value), change.kind % 6
        detail = change.detail
        if kind == 0:
            return value[None] if detail % 2 or not value.ndim else value[0:1].ravel()
        if kind == 1:
            size = (0, 1, 5)[detail % 3]
            axis = detail % max(value.ndim, 1)
            shape = [*value.shape]
            if shape:
                shape[axis] = size
            return np.resize(value, shape) if value.size else np.zeros(shape)
        if kind == 2:
            with np.errstate(all="ignore"):
                return value.astype(DTYPES[detail % len(DTYPES)])
        if kind == 3:
            return _with(value, SPECIAL[detail % len(SPECIAL)], detail // 16)
        return value.tolist() if detail % 2 else value.astype(np.float64) * 1e30


def _with(value: np.ndarray, special: float, where: int) -> np.ndarray:
    """One entry, or all of them, replaced; integers by what they can hold."""
    value = value.copy()
    if value.dtype.kind in "iu":
        special = int(np.nan_to_num(special, nan=-7, posinf=2**31 - 1, neginf=-(2**31)))
        value = value.astype(np.int64)
        special = max(min(special, 2**62), -(2**62))
    elif value.dtype == bool:
        special = bool(special)
    if value.size and where % 3:
        value.flat[where % value.size] = special
    else:
        value[...] = special
    return value


def call_of(function, plan: Plan, special: dict | None = None):
    """(arguments by name, sizes, whether all are right) of one call."""
    drawn = Arguments(plan, special)
    parameters = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind not in (p.VAR_KEYWORD,)
    ]
    given = {}
    for parameter in parameters:
        skip = parameter.default is not parameter.empty and drawn.random.integers(2)
        if isinstance(parameter.default, str) or skip:
            given[parameter.name] = parameter.default
        else:
            given[parameter.name] = drawn.right(parameter.name, parameter.annotation)
    names = list(given)
    for change in plan.changes if names else ():
        name = names[change.argument % len(names)]
        given[name] = drawn.changed(given[name], change)
    variadic = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    return given, variadic, drawn


def numbers_of(function) -> list[str]:
    """The parameters that take one number."""
    names = []
    for p in inspect.signature(function).parameters.values():
        kinds = (p.annotation, *typing.get_args(p.annotation))
        if any(k in (int, float) or getattr(k, "dim_str", "no") == "" for k in kinds):
            names.append(p.name)
    return names


def values_like(drawn: Arguments, given: dict) -> dict:
    """Other arrays of the same shapes and types, in range."""
    arrays = {}
    for name, value in given.items():
        if name in drawn.special or not hasattr(value, "shape"):
            continue
        kind = np.asarray(value).dtype.kind
        if kind == "f":
            new = np.asarray(drawn.floats(name, value.shape), np.float32)
        elif kind == "b":
            new = drawn.random.integers(0, 2, value.shape) > 0
        elif kind in "iu":
            most = drawn.sizes.get(POINTS_INTO.get(name), 2)
            new = drawn.random.integers(0, most, value.shape).astype(np.int32)
        else:
            continue
        arrays[name] = new
    return arrays
