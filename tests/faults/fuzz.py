"""Calls functions by drawn arguments and judges what they give.

Whatever a function of the library is called with, it gives what its annotation says or
a ValueError or TypeError of its own, which says where, what came and what was expected.
"""

import collections
import collections.abc
import contextlib
import inspect
import pathlib
import re
import typing
import warnings

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings

import kdjax
from tests.faults.draws import plans

HOME = str(pathlib.Path(kdjax.__file__).parent)
# Their values are checked, so they stay concrete.
KEPT = ("temperature", "factors", "score", "probabilities")
# `make test-long` draws so many more cases.
times = pytest.mark.parametrize(
    "times", (1, pytest.param(25, marks=pytest.mark.long, id="long"))
)
COUNTED = collections.Counter()


def run(test, cases: int, strategy=None, examples=()) -> None:
    """Calls `test` with as many drawn plans, the same ones every time, and counts them.

    Before these come `examples`: what has failed once.
    """
    how = settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    @how
    @given(plans if strategy is None else strategy)
    def one(plan):
        COUNTED["cases"] += 1
        test(plan)

    for known in examples:
        one = example(known)(one)
    before = COUNTED["cases"]
    with as_for_users():
        one()
    assert COUNTED["cases"] - before >= cases


@contextlib.contextmanager
def as_for_users():
    """JAX promotes types and ranks as it does for users, not as in the other tests."""
    with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"):
        warnings.simplefilter("ignore")
        with jax.numpy_rank_promotion("allow"):
            yield


def invoke(function, given: dict, variadic: list[str]):
    """The call, in which matrices of floats are abstract: nothing is computed of them.

    All else is concrete, and so is checked. Compiling every shape would take hours.
    """
    abstract = {k: v for k, v in given.items() if k not in KEPT and _is_matrix(v)}

    def call(arrays):
        named = given | arrays
        positional = [one for name in variadic for one in listed(named.pop(name))]
        return function(*positional, **named)

    return jax.eval_shape(call, abstract)


def _is_matrix(value) -> bool:
    if isinstance(value, list | tuple) and value:
        return all(map(_is_matrix, value))
    is_array = isinstance(value, np.ndarray | jax.Array) and value.ndim > 0
    return is_array and value.dtype in (np.float16, np.float32, np.float64)


def listed(value) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def check_error(error: BaseException) -> None:
    """It is one of ours: raised in kdjax, by a sentence that opens with where."""
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    file, text = last.tb_frame.f_code.co_filename, str(error)
    ours = file.startswith(HOME) and isinstance(error, ValueError | TypeError)
    if not ours or not re.match(r"[\w.\[\], -]+: ", text) or len(text) > 700:
        raise AssertionError(
            f"{type(error).__name__} of {file}:{last.tb_lineno}: {text[:300]}"
        ) from error
    assert text.isprintable(), text


def check_result(annotation, value, sizes: dict[str, int], path: str = "result"):
    """Of the annotated type and shape."""
    if hasattr(annotation, "dim_str"):
        axes = annotation.dim_str.split()
        more = np.ndim(value) - len(axes)
        if axes and axes[0].startswith("*"):  # any number of axes, all of one size
            axes[:1] = [axes[0].removeprefix("*")] * (more + 1)
            more = min(more + 1, 0)
        assert more == 0, f"{path}: {np.shape(value)}, {axes}"
        for axis, size in zip(axes, np.shape(value), strict=True):
            wanted = sizes.get(axis, size) if axis.isidentifier() else size
            assert size == wanted, f"{path} has {axis}={size}; expected {wanted}"
        return
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple and inner[-1] is not ...:
        for i, (one, part) in enumerate(zip(inner, value, strict=True)):
            check_result(one, part, sizes, f"{path}[{i}]")
    elif inspect.isclass(annotation) and hasattr(annotation, "_fields"):
        assert isinstance(value, annotation), path
        for name, one in typing.get_type_hints(annotation).items():
            check_result(one, getattr(value, name), sizes, f"{path}.{name}")
    elif annotation is float:
        assert np.shape(value) == (), path
    elif annotation in (int, str, dict, list):
        assert isinstance(value, annotation), path


def floats_of(tree) -> list[np.ndarray]:
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return [leaf for leaf in leaves if leaf.dtype.kind == "f"]
