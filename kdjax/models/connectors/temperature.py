"""CTKD's trained temperature: one parameter, and the reversal of its gradient."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.types import Outputs


class Scalar(nn.Module):
    """CTKD: one trained number p, from which a rule makes the temperature.

    The method takes T = 1 + 20 sigmoid(p), and `reverse_gradient` lets p ascend the
    loss that the student descends. Li et al., "Curriculum Temperature for Knowledge
    Distillation", arXiv 2211.16231; the public code's `Global_T` starts at 1.

    Attributes:
      initial: p at the start.

    Returns:
      [], float32.

    >>> p, variables = Scalar().init_with_output(jax.random.key(0), None, None, True)
    >>> float(p), p.shape
    (1.0, ())
    """

    initial: float = 1.0

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> jax.Array:
        start = nn.initializers.constant(self.initial)
        return self.param("value", start, (), jnp.float32)


def reverse_gradient(x: jax.Array, scale: float | jax.Array = 1.0) -> jax.Array:
    """Returns x; its gradient is that of the loss times -scale.

    Ganin & Lempitsky, arXiv 1409.7495. CTKD's coefficient lambda, from 0
    down to -1, is -scale: its public code multiplies by lambda.

    Args:
      x: of any shape, floating.
      scale: one number, which may be traced; 0 stops the gradient. None reaches it.

    >>> float(jax.grad(lambda x: reverse_gradient(x, 0.5) ** 2)(3.0))
    -3.0
    """
    return _reversed(jnp.asarray(x), jnp.asarray(scale, jnp.float32))


@jax.custom_vjp
def _reversed(x: jax.Array, scale: jax.Array) -> jax.Array:
    return x


def _forward(x: jax.Array, scale: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, scale


def _backward(scale: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -scale.astype(gradient.dtype) * gradient, jnp.zeros_like(scale)


_reversed.defvjp(_forward, _backward)
