"""Optimizers, from Optax, with the papers' conventions."""

import jax
import optax

from kdjax import contracts
from kdjax.training.schedules import Schedule


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
    contracts.flag("sgd", "nesterov", nesterov)
    contracts.flag("sgd", "decay_norm_and_bias", decay_norm_and_bias)
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
    contracts.flag("adamw", "decay_norm_and_bias", decay_norm_and_bias)
    mask = None if decay_norm_and_bias else matrices_only
    return optax.chain(
        _clipped(clip_norm),
        optax.adamw(schedule, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask),
    )


def lars(
    *,
    schedule: Schedule,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 1e-4,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
) -> optax.GradientTransformation:
    """LARS: SGD whose every kernel has a rate of its own (arXiv:1708.03888).

        g += weight_decay p
        v = momentum v + rate trust_coefficient |p| / (|g| + eps) g;  p -= v

    One-axis parameters, biases and normalisation, have neither decay nor a trust ratio,
    as in BYOL (arXiv:2006.07733). A norm of 0 makes the ratio 1. The ratio undoes what
    clipping does to a gradient, so there is no `clip_norm`.
    """
    contracts.not_negative("lars", "weight_decay", weight_decay)
    contracts.not_negative("lars", "eps", eps)
    contracts.positive("lars", "trust_coefficient", trust_coefficient)
    contracts.fraction("lars", "momentum", momentum)
    contracts.flag("lars", "nesterov", nesterov)
    return optax.lars(
        schedule,
        weight_decay=weight_decay,
        weight_decay_mask=matrices_only,
        trust_coefficient=trust_coefficient,
        eps=eps,
        trust_ratio_mask=matrices_only,
        momentum=momentum,
        nesterov=nesterov,
    )


def lamb(
    *,
    schedule: Schedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """LAMB: Adam whose every kernel has a rate of its own (arXiv:1904.00962).

        u = adam(g) + weight_decay p;  p -= rate |p| / |u| u

    One-axis parameters have neither decay nor a trust ratio, as in the authors' code;
    `optax.lamb` would give them both. A norm of 0 makes the ratio 1.
    """
    contracts.not_negative("lamb", "weight_decay", weight_decay)
    contracts.not_negative("lamb", "clip_norm", clip_norm)
    contracts.positive("lamb", "eps", eps)
    return optax.chain(
        _clipped(clip_norm),
        optax.scale_by_adam(b1=b1, b2=b2, eps=eps),
        optax.add_decayed_weights(weight_decay, mask=matrices_only),
        optax.masked(optax.scale_by_trust_ratio(), matrices_only),
        optax.scale_by_learning_rate(schedule),
    )


def with_rate(
    optimizer: optax.GradientTransformation, rate: float, names: frozenset[str]
) -> optax.GradientTransformation:
    """The same with `rate` times the learning rate for the arrays of those names.

    Names are paths in the tree that is trained: "head/kernel". It is the update that is
    multiplied, decay and momentum included, as the learning rate multiplies it; so the
    optimizer's state is what it was.
    """

    def update(gradients, state, params=None):
        updates, state = optimizer.update(gradients, state, params)

        def scaled(path, leaf):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            return rate * leaf if name in names else leaf

        return jax.tree_util.tree_map_with_path(scaled, updates), state

    return optax.GradientTransformation(optimizer.init, update)


OPTIMIZERS = {"sgd": sgd, "adamw": adamw, "lars": lars, "lamb": lamb}
