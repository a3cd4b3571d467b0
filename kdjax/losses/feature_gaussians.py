"""Channels as Gaussians: VID's likelihood and WKD-F's Wasserstein distance."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.maps import (
    MAPS,
    OTHER_MAPS,
    Maps,
    OtherMaps,
    flatten_positions,
    sample_mean,
)
from kdjax.losses.numerics import AnyArray, PerSample, Scalar, as_float32

# Added to a variance: VID's, and under WKD-F's square root.
_EPSILON = 1e-5


def channel_moments(
    student: Maps, teacher: OtherMaps, mean_weight: Scalar = 2.0
) -> PerSample:
    """WKD-F: Wasserstein distance of two Gaussians with diagonal covariance.

        sum_c mean_weight (mu^s_c - mu^t_c)^2 + (sd^s_c - sd^t_c)^2

    mu and sd are a channel's mean and sqrt(variance + 1e-5) over the positions of one
    sample; the variance has H W - 1 below (one position: 0).

    Lv, Yang, Li 2024 (arXiv:2412.08139), WKD-F, as in the authors' code with a grid of
    1 x 1. `mean_weight` is the code's MEAN_COV_RATIO.

    Args:
      student: [batch, height, width, channels] after its projector.
      teacher: of as many channels, of any size: nothing is pooled.
      mean_weight: of the distance of the means, >= 0; 1 is the Wasserstein distance.

    >>> import numpy as np
    >>> print(channel_moments(np.zeros((1, 2, 2, 3)), np.ones((1, 2, 2, 3))))
    [6.]
    """
    where = "channel_moments"
    contracts.shapes(where, student=(student, MAPS), teacher=(teacher, OTHER_MAPS))
    contracts.not_negative(where, "mean_weight", mean_weight)
    (mean_s, sd_s), (mean_t, sd_t) = _moments(student), _moments(teacher)
    weight = as_float32(mean_weight)
    distance = weight * (mean_s - mean_t) ** 2 + (sd_s - sd_t) ** 2
    return jnp.sum(distance, axis=-1)


def _moments(maps: Maps) -> tuple[Array, Array]:
    x = flatten_positions(as_float32(maps))
    mean = jnp.mean(x, axis=1, keepdims=True)
    variance = jnp.sum((x - mean) ** 2, axis=1) / max(x.shape[1] - 1, 1)
    return mean[:, 0], jnp.sqrt(variance + _EPSILON)


def variational_information(
    prediction: Maps | Float[AnyArray, "batch channels"],
    rho: Float[AnyArray, " channels"],
    teacher: Maps | Float[AnyArray, "batch channels"],
) -> PerSample:
    """Variational information distillation (VID): Gaussian log-likelihood, negative.

        1/(H W C) sum_hwc 1/2 [(mu_hwc - t_hwc)^2 / v_c + log v_c]
        v_c = log(1 + exp(rho_c)) + 1e-5

    Without the constant log(2 pi) / 2, so it may be negative. Ahn et al. 2019
    (arXiv:1904.05835), the Gaussian model with a variance per channel, which sums; the
    mean is that of RepDistiller's code, whose weight 1 and published numbers belong to
    it.

    Args:
      prediction: mu, [batch, height, width, channels] or [batch, channels]: the
        regressor's output. Bring its input to the teacher's size with `same_size`.
      rho: [channels], trained; see `vid_initial_rho`.
      teacher: as `prediction`.

    >>> import numpy as np
    >>> rho = np.full(3, vid_initial_rho(1.0))
    >>> print(variational_information(np.zeros((1, 3)), rho, np.ones((1, 3))).round(4))
    [0.5]
    """
    patterns = (MAPS, "batch channels")
    contracts.shapes("variational_information", prediction=(prediction, *patterns))
    contracts.shapes(
        "variational_information",
        prediction=(prediction, *patterns),
        rho=(rho, "channels"),
        teacher=(teacher, *patterns[jnp.ndim(prediction) == 2 :][:1]),
    )
    d = as_float32(prediction) - as_float32(teacher)
    rho = as_float32(rho).reshape((1,) * (d.ndim - 1) + (-1,))
    variance = jax.nn.softplus(rho) + _EPSILON
    return sample_mean(0.5 * (d * d / variance + jnp.log(variance)))


def vid_initial_rho(variance: Scalar = 5.0) -> float:
    """rho with which `variational_information` starts at this variance.

    log(exp(variance - 1e-5) - 1); the variance is above 1e-5.

    >>> print(round(vid_initial_rho(5.0), 6))
    4.993229
    """
    contracts.number("vid_initial_rho", "variance", variance)
    rest = float(variance) - _EPSILON
    if not 0 < rest < math.inf:
        raise ValueError(
            f"vid_initial_rho: variance is {variance!r}; expected a number above 1e-5."
        )
    return rest + math.log(-math.expm1(-rest))
