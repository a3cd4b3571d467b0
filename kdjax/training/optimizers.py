"""Optimizers and learning-rate schedules, from Optax, with the papers' conventions.

Optax's own schedules round otherwise: up to three quarters of a run's steps would get a
learning rate with another last bit, so a run could not be resumed with the numbers that
it began with. And our warm-up climbs to what the schedule itself says at that step.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
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


def _clipped(clip_norm: float) -> optax.GradientTransformation:
    return optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()


def matrices_only(params):
    """True for kernels, False for biases and normalisation: one-axis parameters."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def sgd(
    *,
    schedule: Schedule,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 5e-4,
    decay_norm_and_bias: bool = False,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """SGD with momentum and L2 decay added to the gradient, as in PyTorch.

    Args:
      momentum: 0 switches it off.
      decay_norm_and_bias: also decay one-axis parameters. Off in "KL versus MSE"
        (arXiv:2105.08919, public code); on in RepDistiller.
      clip_norm: largest global gradient norm; 0 does not clip.
    """
    contracts.not_negative("sgd", "weight_decay", weight_decay)
    contracts.not_negative("sgd", "clip_norm", clip_norm)
    contracts.fraction("sgd", "momentum", momentum)
    mask = None if decay_norm_and_bias else matrices_only
    return optax.chain(
        _clipped(clip_norm),
        optax.add_decayed_weights(weight_decay, mask=mask),
        optax.sgd(schedule, momentum=momentum or None, nesterov=nesterov),
    )


def adamw(
    *,
    schedule: Schedule,
    b1: float = 0.9,
    b2: float = 0.999,
    weight_decay: float = 0.05,
    decay_norm_and_bias: bool = False,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """AdamW: decoupled decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    contracts.not_negative("adamw", "weight_decay", weight_decay)
    contracts.not_negative("adamw", "clip_norm", clip_norm)
    mask = None if decay_norm_and_bias else matrices_only
    return optax.chain(
        _clipped(clip_norm),
        optax.adamw(schedule, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask),
    )


SCHEDULES = {
    "step": step_schedule,
    "cosine": cosine_schedule,
    "constant": constant_schedule,
    "linear": linear_schedule,
}
OPTIMIZERS = {"sgd": sgd, "adamw": adamw}
