"""The exponential moving average of a student's weights and batch statistics."""

import math

import jax
import jax.numpy as jnp
import optax

from kdjax.contracts import InputError
from kdjax.types import PyTree


def initial(params: PyTree, batch_stats: PyTree) -> PyTree:
    """An average over nothing yet: {"count", "params", "batch_stats"}.

    InputError for weights of less than 32 bits: what a decay near 1 adds to them in a
    step is less than they resolve, and the average would stand still.
    """

    def empty(path, x):
        if _is_float(x) and x.dtype.itemsize < 4:
            name = jax.tree_util.keystr(path)
            raise InputError(
                f"config.ema_decay: {name} is {x.dtype}, in which an average stands "
                "still; expected weights of float32. What a network computes in is "
                "config.model.dtype."
            )
        return jnp.zeros_like(x) if _is_float(x) else x

    present = {"params": params, "batch_stats": batch_stats}
    averages = jax.tree_util.tree_map_with_path(empty, present)
    return {"count": jnp.zeros((), jnp.int32)} | averages


def update(ema: PyTree, decay: float, params: PyTree, batch_stats: PyTree) -> PyTree:
    """The average with the weights after one more update.

        ema_t = (1 - decay) sum_i decay^(t - i) params_i / (1 - decay^t), i = 1 to t

    It is debiased, as Adam's moments are: the weights that were drawn at first have no
    part in it, and a run that is short for its decay gets a plain mean. What is no
    float, such as a counter, is the newest.
    """
    count = ema["count"] + 1
    # 1 - decay^t, which cancels for a decay near 1.
    total = -jnp.expm1(count.astype(jnp.float32) * math.log(decay))
    weight = (1.0 - decay) / total

    def average(new, old):
        if not _is_float(new):
            return new
        return optax.incremental_update(new, old, weight.astype(new.dtype))

    present = {"params": params, "batch_stats": batch_stats}
    old = {name: ema[name] for name in present}
    return {"count": count} | jax.tree.map(average, present, old)


def _is_float(x: jax.Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)
