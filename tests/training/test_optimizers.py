"""Optimizers against NumPy written from their papers; schedules at their corners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.training import optimizers

RATE = {"learning_rate": 0.4, "total_steps": 100, "steps_per_epoch": 10.0}


def values(schedule, steps):
    return [float(jax.jit(schedule)(jnp.int32(step))) for step in steps]


def test_step_schedule_drops_after_whole_epochs():
    schedule = optimizers.step_schedule(**RATE, milestones=(3, 6), factor=0.1)
    np.testing.assert_allclose(
        values(schedule, (0, 29, 30, 59, 60, 99)), [0.4, 0.4, 0.04, 0.04, 0.004, 0.004]
    )


def test_step_schedule_rounds_milestones_of_uneven_epochs():
    # 50,000 images in batches of 64: epoch 150 ends inside batch 117,187.
    rate = RATE | {"steps_per_epoch": 781.25}
    schedule = optimizers.step_schedule(**rate, milestones=(150,), factor=0.1)
    np.testing.assert_allclose(values(schedule, (117187, 117188)), [0.4, 0.04])


def test_cosine_schedule_is_half_way_down_in_the_middle():
    schedule = optimizers.cosine_schedule(**RATE, final_fraction=0.1)
    np.testing.assert_allclose(
        values(schedule, (0, 50, 100, 200)), [0.4, 0.22, 0.04, 0.04], rtol=1e-6
    )


def test_warmup_climbs_evenly_and_then_leaves_the_schedule_alone():
    schedule = optimizers.constant_schedule(**RATE, warmup_epochs=0.4)
    np.testing.assert_allclose(values(schedule, range(5)), [0.1, 0.2, 0.3, 0.4, 0.4])


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
            schedule=optimizers.constant_schedule(learning_rate=rate),
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
        schedule=optimizers.constant_schedule(learning_rate=rate), weight_decay=decay
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
    schedule = optimizers.constant_schedule(learning_rate=1.0)
    optimizer = optimizers.sgd(
        schedule=schedule, momentum=0.0, nesterov=False, weight_decay=0.0, clip_norm=0.1
    )
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
    grads = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), GRADS)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    norm = np.sqrt(sum(float((u**2).sum()) for u in updates.values()))
    assert norm == pytest.approx(0.1, rel=1e-5)


def test_the_line_is_flat_until_its_start_and_ends_at_zero():
    schedule = optimizers.linear_schedule(
        learning_rate=0.4, total_steps=20, steps_per_epoch=2.0, start_epoch=4.0
    )
    found = [float(schedule(jnp.int32(step))) for step in (0, 7, 8, 11, 14, 20, 25)]
    np.testing.assert_allclose(found, [0.4, 0.4, 0.4, 0.3, 0.2, 0, 0], atol=1e-7)
