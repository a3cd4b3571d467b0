"""Losses on activations before ReLU: activation boundaries (AB) and overhaul (OFD)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.maps import MAPS, OTHER_MAPS, Maps, OtherMaps, same_size
from kdjax.losses.numerics import AnyArray, PerSample, Scalar, as_float32, one_or_nan


def activation_boundary(
    student: Maps, teacher: Maps, margin: Scalar = 1.0
) -> PerSample:
    """Activation boundaries (AB): hinge loss on the teacher's signs before ReLU.

        sum_hwc (s + m)^2 1[s > -m, t <= 0] + (s - m)^2 1[s <= m, t > 0]

    A sum over the sample: the weights 2^(level - levels + 1) and 3/1000, and the sum
    over levels, are the caller's. 0 where every activation is beyond the margin on the
    teacher's side. No gradient to the teacher. Heo et al. 2019 (arXiv:1811.03233), the
    alternative loss, as in the authors' and in RepDistiller's code.

    Args:
      student: [batch, height, width, channels] before ReLU, after its connector.
      teacher: of the same shape, before ReLU.
      margin: m, > 0.

    >>> import numpy as np
    >>> student, teacher = np.zeros((1, 1, 1, 2)), np.float32([[[[3, -3]]]])
    >>> print(activation_boundary(student, teacher))
    [2.]
    """
    where = "activation_boundary"
    contracts.shapes(where, student=(student, MAPS), teacher=(teacher, MAPS))
    contracts.positive(where, "margin", margin)
    s, t = as_float32(student), as_float32(teacher)
    margin = as_float32(margin)
    off = jnp.where((s > -margin) & (t <= 0), (s + margin) ** 2, 0.0)
    on = jnp.where((s <= margin) & (t > 0), (s - margin) ** 2, 0.0)
    number = one_or_nan(~(jnp.isnan(s) | jnp.isnan(t)))
    return jnp.sum((off + on) * number, axis=(1, 2, 3))


def overhaul(
    student: Maps, teacher: OtherMaps, margin: Float[AnyArray, " channels"]
) -> PerSample:
    """Overhaul of feature distillation (OFD): partial squared distance before ReLU.

        t' = max(t, margin_c),   sum_hwc (s - t')^2 1[s > t' or t' > 0]

    A sum over the sample: the weights 2^-(levels - level - 1) and 1/1000, and the sum
    over levels, are the caller's. Where the teacher is off, a student below the margin
    is left alone. Heo et al. 2019 (arXiv:1904.01866), margin ReLU and partial L2, as in
    the authors' and in mdistiller's code, which are equal for margins up to 0.

    Args:
      student: [batch, height, width, channels] before ReLU, after its connector.
      teacher: of as many channels, before ReLU; another size is brought to one size.
      margin: [channels], below 0; see `overhaul_margin`.

    >>> import numpy as np
    >>> student, teacher = np.zeros((1, 1, 1, 2)), np.float32([[[[3, -3]]]])
    >>> print(overhaul(student, teacher, np.float32([-0.5, -0.5])))
    [9.25]
    """
    contracts.shapes(
        "overhaul",
        student=(student, MAPS),
        teacher=(teacher, OTHER_MAPS),
        margin=(margin, "channels"),
    )
    s, t = same_size(student, teacher)
    target = jnp.maximum(t, as_float32(margin)[None, None, None])
    d = s - target
    counts = ~((d <= 0) & (target <= 0))  # NaN counts
    return jnp.sum(jnp.where(counts, d * d, 0.0), axis=(1, 2, 3))


def overhaul_margin(
    scale: Float[AnyArray, " channels"], bias: Float[AnyArray, " channels"]
) -> Float[Array, " channels"]:
    """OFD's margins: the mean of a channel's negative activations before ReLU.

        E[x | x < 0] for x ~ N(b, g^2) = b - g phi(b/g) / Phi(-b/g),   g = |scale|

    and -3 g where Phi(-b/g) <= 1e-3. Heo et al. 2019 (arXiv:1904.01866), margin ReLU;
    the second branch is the authors' code. A channel of scale 0 (up to 1e-12) has its
    limit, min(b, 0). Computed from log Phi, without overflow; about six digits.

    Args:
      scale: of the teacher's batch normalisation before the ReLU, [channels].
      bias: its shift, [channels].

    >>> import numpy as np
    >>> margin = overhaul_margin(np.float32([1, 1, 2]), np.float32([0, -9, 9]))
    >>> print(np.asarray(margin).round(4))
    [-0.7979 -9.     -6.    ]
    """
    pattern = "channels"
    contracts.shapes("overhaul_margin", scale=(scale, pattern), bias=(bias, pattern))
    g, b = jnp.abs(as_float32(scale)), as_float32(bias)
    positive = ~(g <= 1e-12)
    # Beyond -30 phi is 0, beyond 10 the other branch is taken.
    z = jnp.clip(b / jnp.where(positive, g, 1.0), -30.0, 10.0)
    log_below = jax.scipy.special.log_ndtr(-z)
    ratio = jnp.exp(-0.5 * z * z - log_below) / jnp.sqrt(2 * jnp.pi)
    margin = jnp.where(log_below > jnp.log(1e-3), b - g * ratio, -3 * g)
    return jnp.where(positive, margin, jnp.minimum(b, 0.0))
