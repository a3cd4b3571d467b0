"""Optimizers against NumPy written from their papers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kdjax.training import optimizers
from kdjax.training.own_optimizer import from_function
from kdjax.training.schedules import constant_schedule

PARAMS = {"kernel": np.array([[1.0, -2.0], [0.5, 3.0]]), "bias": np.array([1.0, -1.0])}
GRADS = {"kernel": np.array([[0.3, 0.1], [-0.2, 0.4]]), "bias": np.array([0.5, 0.2])}


def three_steps(optimizer):
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
    grads = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), GRADS)
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params


@pytest.mark.parametrize("nesterov", (True, False))
@pytest.mark.parametrize("everything", (True, False))
def test_sgd_is_pytorchs_rule(nesterov, everything):
    """g += wd p; v = m v + g; p -= lr (g + m v if nesterov else v)."""
    rate, momentum, decay = 0.1, 0.9, 0.05
    found = three_steps(
        optimizers.sgd(
            schedule=constant_schedule(learning_rate=rate),
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=decay,
            decay_norm_and_bias=everything,
        )
    )
    for name, start in PARAMS.items():
        p, velocity = start.copy(), np.zeros_like(start)
        for _ in range(3):
            g = GRADS[name] + decay * p * (everything or name == "kernel")
            velocity = momentum * velocity + g
            p = p - rate * (g + momentum * velocity if nesterov else velocity)
        np.testing.assert_allclose(found[name], p, rtol=1e-6)


def test_adamw_is_the_papers_rule():
    rate, b1, b2, decay, epsilon = 0.1, 0.9, 0.999, 0.05, 1e-8
    optimizer = optimizers.adamw(
        schedule=constant_schedule(learning_rate=rate), weight_decay=decay
    )
    # Optax raises a float to its integer count, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        found = three_steps(optimizer)
    for name, start in PARAMS.items():
        p, m, v = start.copy(), 0.0, 0.0
        for t in range(1, 4):
            g = GRADS[name]
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + epsilon)
            p = p - rate * (step + decay * p * (name == "kernel"))
        np.testing.assert_allclose(found[name], p, rtol=1e-5)


def test_clipping_bounds_the_global_norm():
    schedule = constant_schedule(learning_rate=1.0)
    optimizer = optimizers.sgd(
        schedule=schedule, momentum=0.0, nesterov=False, weight_decay=0.0, clip_norm=0.1
    )
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
    grads = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), GRADS)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    norm = np.sqrt(sum(float((u**2).sum()) for u in updates.values()))
    assert norm == pytest.approx(0.1, rel=1e-5)


def norm(x) -> float:
    return float(np.sqrt((x**2).sum()))


@pytest.mark.parametrize("nesterov", (True, False))
def test_lars_is_the_papers_rule_for_kernels_and_sgd_for_the_rest(nesterov):
    rate, momentum, decay, trust = 0.5, 0.9, 0.05, 0.02
    found = three_steps(
        optimizers.lars(
            schedule=constant_schedule(learning_rate=rate),
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=decay,
            trust_coefficient=trust,
        )
    )
    for name, start in PARAMS.items():
        p, velocity, is_kernel = start.copy(), np.zeros_like(start), name == "kernel"
        for _ in range(3):
            g = GRADS[name] + decay * p * is_kernel
            ratio = trust * norm(p) / norm(g) if is_kernel else 1.0
            step = rate * ratio * g
            velocity = momentum * velocity + step
            p = p - (step + momentum * velocity if nesterov else velocity)
        np.testing.assert_allclose(found[name], p, rtol=1e-5)


def test_lamb_is_the_papers_rule_for_kernels_and_adam_for_the_rest():
    rate, b1, b2, decay, epsilon = 0.1, 0.8, 0.99, 0.05, 1e-6
    optimizer = optimizers.lamb(
        schedule=constant_schedule(learning_rate=rate),
        b1=b1,
        b2=b2,
        weight_decay=decay,
        clip_norm=0.1,
    )
    with jax.numpy_dtype_promotion("standard"):
        found = three_steps(optimizer)
    clip = 0.1 / np.sqrt(sum(norm(g) ** 2 for g in GRADS.values()))
    for name, start in PARAMS.items():
        p, m, v, is_kernel = start.copy(), 0.0, 0.0, name == "kernel"
        for t in range(1, 4):
            g = clip * GRADS[name]
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + epsilon)
            step = step + decay * p * is_kernel
            p = p - rate * step * (norm(p) / norm(step) if is_kernel else 1.0)
        np.testing.assert_allclose(found[name], p, rtol=1e-5)


def heavy_ball(schedule, mass=0.5):
    """A user's own, without annotations."""
    return optax.sgd(schedule, momentum=mass)


def no_rate(decay: float):
    return optax.sgd(decay)


def no_optimizer(learning_rate):
    return learning_rate


def test_a_function_of_ones_own_gets_the_schedule_under_either_name():
    schedule = constant_schedule(learning_rate=0.1)
    own = from_function(f"{__name__}:heavy_ball")
    expected = three_steps(optax.sgd(0.1, momentum=0.25))
    found = three_steps(own(schedule=schedule, mass=0.25))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    optaxs = from_function("optax:sgd")
    found = three_steps(optaxs(schedule=schedule, momentum=0.25))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_function_that_makes_no_optimizer_is_refused():
    with pytest.raises(ValueError, match="no_rate takes decay; expected a parameter"):
        from_function(f"{__name__}:no_rate")
    with pytest.raises(ValueError, match="has no function 'sdg'; near are sgd"):
        from_function("optax:sdg")
    build = from_function(f"{__name__}:no_optimizer")
    with pytest.raises(TypeError, match="returned function; expected an optax"):
        build(schedule=constant_schedule(learning_rate=0.1))


@pytest.mark.parametrize("rate", (10.0, 0.0))
def test_a_head_has_its_own_learning_rate(rate):
    """As two groups of PyTorch's SGD: g += wd p; v = m v + g; p -= lr_group v."""
    base, momentum, decay = 0.1, 0.9, 0.05
    start = {"body": {"kernel": [[1.0, -2.0]]}, "head": {"kernel": [[0.5], [3.0]]}}
    grads = {"body": {"kernel": [[0.3, 0.1]]}, "head": {"kernel": [[-0.2], [0.4]]}}
    own = optimizers.sgd(
        schedule=constant_schedule(learning_rate=base),
        momentum=momentum,
        nesterov=False,
        weight_decay=decay,
    )
    rated = optimizers.with_rate(own, rate, frozenset({"head/kernel"}))

    def arrays(tree):
        return jax.tree.map(jnp.float32, tree, is_leaf=lambda x: isinstance(x, list))

    params, state = arrays(start), rated.init(arrays(start))
    assert jax.tree.structure(state) == jax.tree.structure(own.init(params))
    for _ in range(3):
        updates, state = rated.update(arrays(grads), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    for part, times in (("body", 1.0), ("head", rate)):
        p, g = (np.array(tree[part]["kernel"]) for tree in (start, grads))
        velocity = np.zeros_like(p)
        for _ in range(3):
            velocity = momentum * velocity + g + decay * p
            p = p - times * base * velocity
        np.testing.assert_allclose(params[part]["kernel"], p, rtol=1e-6)
