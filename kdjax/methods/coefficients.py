"""Coefficients of terms that follow the epoch: a warm-up, a decay."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from kdjax import contracts
from kdjax.methods.base import Schedule


def warmed(
    where: str, weight: float, warmup_epochs: float, steps_per_epoch: float
) -> float | Schedule:
    """weight min(epoch / warmup_epochs, 1), the epoch counted from 1 as it begins.

    Without a warm-up the weight itself. As in the public code of mdistiller the first
    epoch has weight / warmup_epochs, and all steps of an epoch have the same.
    """
    contracts.not_negative(where, "warmup_epochs", warmup_epochs)
    contracts.positive(where, "steps_per_epoch", steps_per_epoch)
    if not warmup_epochs:
        return weight

    epoch_of = epoch_counter(steps_per_epoch, warmup_epochs)

    def schedule(step):
        return weight * jnp.minimum(1.0, epoch_of(step) / warmup_epochs)

    return schedule


def epoch_counter(steps_per_epoch: float, last: float) -> Callable:
    """step -> its epoch, counted from 1 as it begins; from `last` on it may stay.

    Of starts that are computed on the host: the quotient in float32, inside jit, may be
    below a whole number at the first step of an epoch.
    """
    ends = range(1, math.ceil(last) + 1)
    starts = np.array([math.ceil(e * steps_per_epoch) for e in ends], np.int64)
    starts = np.minimum(starts, np.iinfo(np.int32).max).astype(np.int32)

    def epoch_of(step):
        return 1.0 + jnp.sum(jnp.asarray(step) >= starts, dtype=jnp.float32)

    return epoch_of


def decayed(
    where: str,
    weight: float,
    decay_epoch: float,
    steps_per_epoch: float,
    total_steps: int,
) -> float | Schedule:
    """The weight up to an epoch, then half a cosine down to 0 in the run's last epoch.

        weight (1 + cos(pi (epoch - decay_epoch) / (last - decay_epoch))) / 2

    The epoch is counted from 1 and all its steps have the same weight, as in the public
    code of WKD. A run that ends by `decay_epoch` has the weight itself.
    """
    contracts.not_negative(where, "decay_epoch", decay_epoch)
    contracts.positive(where, "steps_per_epoch", steps_per_epoch)
    last = math.floor((total_steps - 1) / steps_per_epoch) + 1
    if last <= decay_epoch:
        return weight

    epoch_of = epoch_counter(steps_per_epoch, last)

    def schedule(step):
        done = (epoch_of(step) - decay_epoch) / (last - decay_epoch)
        return weight * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.clip(done, 0.0, 1.0)))

    return schedule
