"""Learning-rate schedules: step, cosine, constant, linear, polynomial, one-cycle.

The last two are Optax's. Its own for the first four round otherwise: up to three
quarters of a run's steps would get a learning rate with another last bit, so a run
could not be resumed with the numbers that it began with. And our warm-up climbs to what
the schedule itself says at that step.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from kdjax import contracts

Schedule = Callable[[jax.Array], jax.Array]


def _warmed(schedule: Schedule, warmup_steps: float) -> Schedule:
    """Climbs linearly from one part in `warmup_steps` to the schedule's own value."""
    if warmup_steps < 1:
        return schedule

    def warmed(step):
        climbed = (_float(step) + 1.0) / warmup_steps
        return schedule(step) * jnp.minimum(1.0, climbed)

    return warmed


def _float(step: jax.Array) -> jax.Array:
    """Steps as float32: exact up to 16 million of them."""
    return jnp.asarray(step, jnp.float32)


def step_schedule(
    *,
    learning_rate: float,
    total_steps: int,
    steps_per_epoch: float,
    milestones: tuple[float, ...],
    factor: float,
    warmup_epochs: float = 0.0,
) -> Schedule:
    """Multiplies by `factor` after each milestone, given in epochs."""
    del total_steps
    boundaries = [round(m * steps_per_epoch) for m in milestones]

    def schedule(step):
        passed = sum((step >= b).astype(jnp.float32) for b in boundaries)
        return learning_rate * jnp.power(jnp.float32(factor), passed)

    base = schedule if boundaries else optax.constant_schedule(learning_rate)
    return _warmed(base, warmup_epochs * steps_per_epoch)


def cosine_schedule(
    *,
    learning_rate: float,
    total_steps: int,
    steps_per_epoch: float,
    warmup_epochs: float = 0.0,
    final_fraction: float = 0.0,
) -> Schedule:
    """Half a cosine from `learning_rate`, after the warm-up, to a fraction of it."""
    warmup = warmup_epochs * steps_per_epoch

    def schedule(step):
        done = (_float(step) - warmup) / max(total_steps - warmup, 1)
        height = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(done, 0.0, 1.0)))
        return learning_rate * (final_fraction + (1 - final_fraction) * height)

    return _warmed(schedule, warmup)


def linear_schedule(
    *,
    learning_rate: float,
    total_steps: int,
    steps_per_epoch: float,
    start_epoch: float = 0.0,
    warmup_epochs: float = 0.0,
) -> Schedule:
    """`learning_rate` until `start_epoch`, then a straight line to 0 at the last step.

    That of Co-teaching's authors (Han et al. 2018, arXiv:1804.06872).
    """
    start = start_epoch * steps_per_epoch

    def schedule(step):
        done = (_float(step) - start) / max(total_steps - start, 1)
        return learning_rate * (1.0 - jnp.clip(done, 0.0, 1.0))

    return _warmed(schedule, warmup_epochs * steps_per_epoch)


def constant_schedule(
    *,
    learning_rate: float,
    total_steps: int = 0,
    steps_per_epoch: float = 0.0,
    warmup_epochs: float = 0.0,
) -> Schedule:
    """The same rate throughout, after the warm-up."""
    del total_steps
    schedule = optax.constant_schedule(learning_rate)
    return _warmed(schedule, warmup_epochs * steps_per_epoch)


def polynomial_schedule(
    *,
    learning_rate: float,
    total_steps: int,
    steps_per_epoch: float,
    power: float = 2.0,
    warmup_epochs: float = 0.0,
    final_fraction: float = 0.0,
) -> Schedule:
    """From `learning_rate`, after the warm-up, to a fraction of it: (1 - done)^power.

    With power 2 that of LARS (You et al. 2017, arXiv:1708.03888); 1 is a line.
    """
    contracts.positive("polynomial", "power", power)
    warmup = round(warmup_epochs * steps_per_epoch)
    schedule = optax.polynomial_schedule(
        init_value=learning_rate,
        end_value=learning_rate * final_fraction,
        power=power,
        transition_steps=max(total_steps - warmup, 1),
        transition_begin=warmup,
    )
    return _warmed(schedule, warmup_epochs * steps_per_epoch)


def one_cycle_schedule(
    *,
    learning_rate: float,
    total_steps: int,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to `learning_rate` and down again, each half a cosine (arXiv:1708.07120).

    It begins at learning_rate / div_factor, has its peak after `pct_start` of the run
    and ends at learning_rate / (div_factor final_div_factor). The names are those of
    PyTorch's OneCycleLR; momentum stays as it is.
    """
    where = "one_cycle"
    if not 0 <= pct_start < 1:
        raise ValueError(
            f"{where}: pct_start is {pct_start:g}; expected a number from 0 to below 1."
        )
    contracts.positive(where, "div_factor", div_factor)
    contracts.positive(where, "final_div_factor", final_div_factor)
    return optax.cosine_onecycle_schedule(
        transition_steps=total_steps,
        peak_value=learning_rate,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )


SCHEDULES = {
    "step": step_schedule,
    "cosine": cosine_schedule,
    "constant": constant_schedule,
    "linear": linear_schedule,
    "polynomial": polynomial_schedule,
    "one_cycle": one_cycle_schedule,
}


def rates_at(schedules: Mapping[str, Schedule]) -> Callable[[int], dict[str, float]]:
    """Builds step -> {name: what that schedule says there}; compiled once, when called.

    >>> rates_at({"learning_rate": constant_schedule(learning_rate=0.5)})(3)
    {'learning_rate': 0.5}
    """
    compiled = jax.jit(lambda step: {n: one(step) for n, one in schedules.items()})
    return lambda step: {n: float(x) for n, x in compiled(np.int32(step)).items()}
