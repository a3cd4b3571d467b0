"""Every public loss, by arguments of any shape, type and value."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses
from tests.faults import draws, fuzz

FUNCTIONS = [
    name for name in losses.__all__ if inspect.isfunction(getattr(losses, name))
]
CASES, RIGHT = 25, 40  # of each function: of any arguments, and of right ones


def groups(drawn):
    samples = drawn.size("samples")
    order = np.concatenate([np.arange(0, samples, 2), np.arange(1, samples, 2)])
    size = np.array([(samples + 1) // 2, samples // 2])
    return losses.banks.ClassGroups(order, np.cumsum(size) - size, size)


# What annotations do not say.
SPECIAL = {
    "key": lambda drawn: jax.random.key(0),
    "groups": groups,
    "margin": lambda drawn: 1.0,
    "factors": lambda drawn: (1.0, 0.0),
    "classes": lambda drawn: drawn.size("classes"),
    "normaliser": lambda drawn: 3.0,
    "variance": lambda drawn: 5.0,
    "sharpness": lambda drawn: 1.0,
}
OF_FUNCTION = {
    "overhaul": {"margin": lambda drawn: np.full(drawn.size("channels"), -0.5)},
    "draw_negatives": {"labels": lambda d: np.arange(d.size("batch")) % 2},
    "draw_positives": {"labels": lambda d: np.arange(d.size("batch")) % 2},
    "class_similarity": {
        "classes": lambda d: 2,
        "labels": lambda d: np.arange(d.size("samples")) % 2,
    },
    "singular_vector_rbf": {
        name: lambda d: [d.floats("maps", (d.size("batch"), 2, 2, c)) for c in (2, 3)]
        for name in ("students", "teachers")
    },
}


# What has failed once.
FAILED = {
    "noise_contrastive": [draws.Plan(23, 0, [draws.Change(39191, 128, 3341)])],
    "probabilistic_knowledge": [draws.Plan(0, 39, [draws.Change(3, 128, 3341)])],
    "reverse_cross_entropy": [draws.Plan(0, 0, [draws.Change(2, 0, 82)])],
    "transformed_teacher_weight": [draws.Plan(0, 5, [draws.Change(1, 128, 3341)])],
    "updated_bank": [draws.Plan(0, 0, [draws.Change(0, 1, 0)])],
}
# Memories: a row that is no number is not remembered, an old one is replaced.
FORGETS = (("updated_bank", "embedding"), ("updated_queue", "queue"))
NOT_TRACED = ("class_similarity",)  # so it says: made once, before training


def special(name):
    return SPECIAL | OF_FUNCTION.get(name, {})


def try_any(name, plan):
    function = getattr(losses, name)
    arguments, variadic, drawn = draws.call_of(function, plan, special(name))
    try:
        value = fuzz.invoke(function, arguments, variadic)
    except Exception as error:
        fuzz.check_error(error)
        return
    annotation = inspect.signature(function).return_annotation
    sizes = {} if plan.changes else drawn.sizes
    fuzz.check_result(annotation, value, sizes)


@fuzz.times
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_arguments(name, times):
    examples = FAILED.get(name, ())
    fuzz.run(lambda plan: try_any(name, plan), CASES * times, examples=examples)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_of_any_type(name):
    """Each number of each function by all of them: drawn ones are rarely such."""
    function, plan = getattr(losses, name), draws.Plan(0, 0, [])
    with fuzz.as_for_users():
        for number in draws.numbers_of(function):
            for value in draws.NUMBER_TYPES:
                given, variadic, _ = draws.call_of(function, plan, special(name))
                try:
                    result = fuzz.invoke(function, given | {number: value}, variadic)
                except Exception as error:
                    fuzz.check_error(error)
                else:
                    leaves = jax.tree.leaves(result)
                    assert jnp.float16 not in {getattr(x, "dtype", 0) for x in leaves}


def compiled(name):
    """(arguments, what gives value and gradient of other arrays of their shapes)."""
    function = getattr(losses, name)
    drawn = draws.Arguments(draws.Plan(0, 0, []), special(name))
    parameters = inspect.signature(function).parameters.values()
    given = {
        p.name: p.default
        if isinstance(p.default, str)
        else drawn.right(p.name, p.annotation)
        for p in parameters
    }

    def total(floats, others):
        value = function(**given | floats | others)
        leaves = [jnp.sum(leaf) for leaf in jax.tree.leaves(value) if _is_float(leaf)]
        return sum(leaves, jnp.float32(0)), value

    return drawn, given, jax.jit(jax.value_and_grad(total, has_aux=True))


def _is_float(leaf):
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating)


@fuzz.times
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_finite(name, times):
    drawn, arguments, run = compiled(name)

    def one(plan):
        drawn.random = np.random.default_rng(plan.seed)
        arrays = draws.values_like(drawn, arguments)
        floats = {k: v for k, v in arrays.items() if v.dtype.kind == "f"}
        (_, value), gradient = run(
            floats, {k: arrays[k] for k in arrays.keys() - floats}
        )
        if name in NOT_TRACED:
            gradient = ()
        for what, tree in (("value", value), ("gradient", gradient)):
            for leaf in fuzz.floats_of(tree):
                assert np.isfinite(leaf).all(), f"{what}: {leaf}, of {arrays}"

    fuzz.run(one, RIGHT * times)
    with fuzz.as_for_users():
        check_nan(name, drawn, arguments, run)


def check_nan(name, drawn, arguments, run):
    """One NaN among features or logits is not hidden: the value has it."""
    drawn.random = np.random.default_rng(0)
    arrays = draws.values_like(drawn, arguments)
    floats = {k: v for k, v in arrays.items() if v.dtype.kind == "f"}
    others = {k: v for k, v in arrays.items() if k not in floats}
    if "where" in others:
        others["where"] = np.ones_like(others["where"])
    for key, value in floats.items():
        if value.ndim > 1 and (name, key) not in FORGETS:
            broken = value.copy()
            broken.flat[0] = np.nan
            (_, value), _ = run(floats | {key: broken}, others)
            assert any(np.isnan(x).any() for x in fuzz.floats_of(value)), key
