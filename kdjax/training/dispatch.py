"""Several steps in one dispatch: a small network's step is over before the next one is
asked for, unless the device has a list of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from kdjax.training.step import TrainStep

MOST = 16


def steps_per_dispatch(platform: str) -> int:
    """How many steps a program makes at most on "cpu", "gpu" or "tpu".

    One on CPU: within a loop XLA's CPU backend does not use its fast kernel gradient of
    a convolution; a step of WRN-28-4 to WRN-16-2 then takes 49 s instead of 1.6 s
    (jax 0.10, 2 cores, batch 128).
    """
    return 1 if platform == "cpu" else MOST


def many_steps(step: TrainStep, most: int) -> Callable:
    """Makes `steps(states, teacher_variables, source, tickets, count)` of a step.

    One program for any count up to `most`, so a run's odd ends compile nothing.

    Args:
      step: from `make_train_step`.
      most: leading size of every array of `tickets` and of every metric.

    Returns:
      A pure function that makes the steps of the first `count` tickets, in order;
      metrics are [most], of which the first `count` count.
    """

    def steps(states, teacher_variables, source, batch_specs, count):
        def batch_spec(number):
            return jax.tree.map(lambda rows: rows[number], batch_specs)

        def one(number, carry):
            packed, told = carry
            now = teacher_variables, source, batch_spec(number)
            packed, metrics = step.packed(packed, *now)
            told = jax.tree.map(lambda all, x: all.at[number].set(x), told, metrics)
            return packed, told

        packed = step.pack(states)
        # What a step tells is known from the step alone.
        now = teacher_variables, source, batch_spec(0)
        _, shapes = jax.eval_shape(step.packed, packed, *now)
        empty = jax.tree.map(lambda x: jnp.zeros((most, *x.shape), x.dtype), shapes)
        packed, told = jax.lax.fori_loop(0, count, one, (packed, empty))
        return step.unpack(packed), told

    return steps
