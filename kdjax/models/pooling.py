"""Max pooling, with a gradient that GPUs need not scatter.

XLA's gradient of a maximum over windows goes through the windows and adds to whichever
pixel won. On a GPU that is an atomic scatter, which moves four times the bytes of the
form here: the number of the winner, one byte a window, is kept, and each pixel sums
what the few windows around it send. Values and gradients are the same, the first of
equal pixels wins. On a CPU and a TPU there is nothing to gain.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from kdjax.models.platform import target_platform


def max_pool(x: jax.Array, size: int, stride: int, pad: int = 0) -> jax.Array:
    """The maximum of windows size x size, of [b, h, w, c]; `pad` is of every side.

    >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    >>> max_pool(x, 2, 2).ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
    """
    pool = _by_winners if target_platform() == "gpu" else _reduced
    return pool(x, size, stride, pad)


def _reduced(x, size: int, stride: int, pad: int) -> jax.Array:
    return nn.max_pool(x, (size, size), (stride, stride), ((pad, pad), (pad, pad)))


_by_winners = jax.custom_vjp(_reduced, nondiff_argnums=(1, 2, 3))


def _forward(x, size: int, stride: int, pad: int):
    """(the maxima, (which pixel of its window each is, the shape of x))."""
    sides = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    padded = jnp.pad(x, sides, constant_values=-jnp.inf)
    _, height, width, _ = padded.shape
    shifted = [
        padded[:, row : height - size + row + 1 : stride][
            :, :, column : width - size + column + 1 : stride
        ]
        for row in range(size)
        for column in range(size)
    ]
    largest, winner = shifted[0], jnp.zeros(shifted[0].shape, jnp.uint8)
    for number, pixels in enumerate(shifted[1:], start=1):
        wins = (pixels > largest) | jnp.isnan(pixels)  # a NaN must not be hidden
        largest = jnp.where(wins, pixels, largest)
        winner = jnp.where(wins, jnp.uint8(number), winner)
    return largest, (winner, x.shape)


def _backward(size: int, stride: int, pad: int, residuals, gradient):
    winner, (_, height, width, _) = residuals
    nothing = jnp.zeros((), gradient.dtype)
    total = None
    for number in range(size**2):
        sent = jnp.where(winner == number, gradient, nothing)
        ends = [
            (first, full + 2 * pad - first - (stride * (count - 1) + 1), stride - 1)
            for first, full, count in zip(
                divmod(number, size), (height, width), winner.shape[1:3], strict=True
            )
        ]
        placed = lax.pad(sent, nothing, ((0, 0, 0), *ends, (0, 0, 0)))
        total = placed if total is None else total + placed
    return (total[:, pad : pad + height, pad : pad + width],)


_by_winners.defvjp(_forward, _backward)
