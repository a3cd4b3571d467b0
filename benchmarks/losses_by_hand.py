"""The same losses three times: kdjax, by hand in JAX, by hand in PyTorch.

Each takes student and teacher logits and labels, and gives one value a sample; those of
PyTorch give the mean. By hand means as papers write them and repositories compute them:
no care of digits, masks or temperatures that are out of range.
"""

import jax
import jax.numpy as jnp
import optax
from jax.nn import log_softmax, softmax

from kdjax import losses

TAU = 4.0


def _one_hot(y, like):
    return jax.nn.one_hot(y, like.shape[-1])


def _kl(p, q):
    return jnp.sum(p * (jnp.log(p) - jnp.log(q)), axis=-1)


def _dkd_target(s, t, y):
    """Probabilities of the label and of the rest, as in the authors' code."""
    p, q = softmax(t / TAU), softmax(s / TAU)
    label = _one_hot(y, s)
    both = [
        jnp.stack([(x * label).sum(-1), (x * (1 - label)).sum(-1)], -1) for x in (p, q)
    ]
    return _kl(*both)


def _dkd_nontarget(s, t, y):
    """1000 subtracted from the label's logit, as in the authors' code."""
    hidden = 1000.0 * _one_hot(y, s)
    log_q, log_p = log_softmax(s / TAU - hidden), log_softmax(t / TAU - hidden)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)


def _nkd_nontarget(s, t, y):
    hidden = 1000.0 * _one_hot(y, s)
    log_q = log_softmax(s / TAU - hidden)
    return -jnp.sum(softmax(t / TAU - hidden) * log_q, axis=-1)


def _pearson(s, t, y):
    a, b = (softmax(z / TAU) for z in (s, t))
    a, b = (x - x.mean(-1, keepdims=True) for x in (a, b))
    lengths = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    return 1 - (a * b).sum(-1) / (lengths + 1e-8)


def _standardised(z):
    return (z - z.mean(-1, keepdims=True)) / (z.std(-1, ddof=1, keepdims=True) + 1e-7)


OURS = {
    "kl_divergence": lambda s, t, y: losses.kl_divergence(s, t, TAU),
    "kl_to_target": lambda s, t, y: losses.kl_to_target(s, softmax(t), TAU),
    "cross_entropy": lambda s, t, y: losses.cross_entropy(s, y),
    "cross_entropy, soft": lambda s, t, y: losses.cross_entropy(s, softmax(t)),
    "cross_entropy, smoothed": lambda s, t, y: losses.cross_entropy(s, y, 0.1),
    "logit_matching": lambda s, t, y: losses.logit_matching(s, t),
    "mean_squared_error": lambda s, t, y: losses.mean_squared_error(s, t),
    "smooth_l1": lambda s, t, y: losses.smooth_l1(s, t),
    "decoupled_target": lambda s, t, y: losses.decoupled_target(s, t, y, TAU),
    "decoupled_nontarget": lambda s, t, y: losses.decoupled_nontarget(s, t, y, TAU),
    "normalised_nontarget": lambda s, t, y: losses.normalised_nontarget(s, t, y, TAU),
    "transformed_teacher_matching": (
        lambda s, t, y: losses.transformed_teacher_matching(s, t, 0.25)
    ),
    "dist_between_classes": lambda s, t, y: losses.dist_between_classes(s, t, TAU),
    "standardise + kl_divergence": lambda s, t, y: losses.kl_divergence(
        losses.standardise(s), losses.standardise(t), TAU
    ),
    "generalized_cross_entropy": (
        lambda s, t, y: losses.generalized_cross_entropy(s, y, 0.7)
    ),
    "reverse_cross_entropy": lambda s, t, y: losses.reverse_cross_entropy(s, y),
}
HAND = {
    "kl_divergence": lambda s, t, y: optax.losses.kl_divergence(
        log_softmax(s / TAU), softmax(t / TAU)
    ),
    "kl_to_target": lambda s, t, y: optax.losses.kl_divergence(
        log_softmax(s / TAU), softmax(t)
    ),
    "cross_entropy": lambda s, t, y: (
        optax.losses.softmax_cross_entropy_with_integer_labels(s, y)
    ),
    "cross_entropy, soft": lambda s, t, y: optax.losses.softmax_cross_entropy(
        s, softmax(t)
    ),
    "cross_entropy, smoothed": lambda s, t, y: optax.losses.softmax_cross_entropy(
        s, optax.losses.smooth_labels(_one_hot(y, s), 0.1)
    ),
    "logit_matching": lambda s, t, y: 0.5 * jnp.var(s - t, axis=-1),
    "mean_squared_error": lambda s, t, y: optax.losses.squared_error(s, t).mean(-1),
    "smooth_l1": lambda s, t, y: optax.losses.huber_loss(s, t).mean(-1),
    "decoupled_target": _dkd_target,
    "decoupled_nontarget": _dkd_nontarget,
    "normalised_nontarget": _nkd_nontarget,
    "transformed_teacher_matching": lambda s, t, y: optax.losses.kl_divergence(
        log_softmax(s), softmax(0.25 * t)
    ),
    "dist_between_classes": _pearson,
    "standardise + kl_divergence": lambda s, t, y: optax.losses.kl_divergence(
        log_softmax(_standardised(s) / TAU), softmax(_standardised(t) / TAU)
    ),
    "generalized_cross_entropy": lambda s, t, y: (
        (1 - jnp.sum(softmax(s) * _one_hot(y, s), -1) ** 0.7) / 0.7
    ),
    "reverse_cross_entropy": lambda s, t, y: (
        4.0 * jnp.sum(softmax(s) * (1 - _one_hot(y, s)), axis=-1)
    ),
}


def _torch_kl(s, t, y):
    from torch.nn import functional as F

    log_q, p = F.log_softmax(s / TAU, -1), F.softmax(t / TAU, -1)
    return F.kl_div(log_q, p, reduction="batchmean")


def _torch_target(s, t, y):
    from torch.nn import functional as F

    log_q = F.log_softmax(s / TAU, -1)
    return F.kl_div(log_q, F.softmax(t, -1), reduction="batchmean")


def _torch_cross_entropy(s, t, y):
    from torch.nn import functional as F

    return F.cross_entropy(s, y)


def _torch_soft_cross_entropy(s, t, y):
    from torch.nn import functional as F

    return F.cross_entropy(s, F.softmax(t, -1))


def _torch_squares(s, t, y):
    from torch.nn import functional as F

    return F.mse_loss(s, t)


def _torch_smooth_l1(s, t, y):
    from torch.nn import functional as F

    return F.smooth_l1_loss(s, t)


TORCH = {
    "kl_divergence": _torch_kl,
    "kl_to_target": _torch_target,
    "cross_entropy": _torch_cross_entropy,
    "cross_entropy, soft": _torch_soft_cross_entropy,
    "mean_squared_error": _torch_squares,
    "smooth_l1": _torch_smooth_l1,
}
