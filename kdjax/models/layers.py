"""What the architectures share: convolution, batch norm, head, the check at the door.

Conventions are those of the PyTorch models in the literature, so that their weights and
results carry over: symmetric padding (`SAME` pads strided convolutions unevenly), He's
normal initialisation over the fan-out, batch norm with epsilon 1e-5. Images are NHWC.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax import contracts

# Both draw a flat vector: the values are those of a shaped draw, and XLA compiles it
# three times faster (jax 0.10, CPU), which is most of what `init` costs.


def fan_out_normal(key, shape, dtype=jnp.float32) -> jax.Array:
    """He et al., arXiv 1502.01852, over the fan-out: N(0, sqrt(2 / (k k out)))."""
    height, width, _, features = shape
    scale = math.sqrt(2 / (height * width * features))
    return scale * jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def uniform(bound: float):
    """U(-bound, bound). PyTorch's linear layers have bound = 1 / sqrt(fan-in)."""

    def initialise(key, shape, dtype=jnp.float32) -> jax.Array:
        flat = jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound)
        return flat.reshape(shape)

    return initialise


def conv(
    features: int, kernel: int, stride: int = 1, *, dtype: jnp.dtype, name: str
) -> nn.Conv:
    """A convolution without bias, padded by kernel // 2 on every side."""
    pad = kernel // 2
    return nn.Conv(
        features,
        (kernel, kernel),
        strides=(stride, stride),
        padding=((pad, pad), (pad, pad)),
        use_bias=False,
        kernel_init=fan_out_normal,
        dtype=dtype,
        name=name,
    )


class BatchNorm(nn.Module):
    """Batch norm over batch, height and width; float32 statistics at any dtype.

    Flax's own relies on implicit promotion of bfloat16, which strict promotion refuses.
    Its variables have the same names. `momentum` weighs the past: 0.9 is PyTorch's 0.1.
    The running variance is the biased one, as in Flax; PyTorch keeps the unbiased one.
    """

    dtype: jnp.dtype
    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running_mean = self.variable(
            "batch_stats", "mean", jnp.zeros, shape, jnp.float32
        )
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        x = x.astype(jnp.float32)
        if train:
            mean = x.mean((0, 1, 2))
            # E[x^2] - E[x]^2 reads x once; rounding may take it below zero.
            var = jnp.maximum(jnp.square(x).mean((0, 1, 2)) - jnp.square(mean), 0.0)
            if not self.is_initializing():
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * var
        else:
            mean, var = running_mean.value, running_var.value
        multiplier = scale * jax.lax.rsqrt(var + self.epsilon)
        y = (x - along_channels(mean)) * along_channels(multiplier) + along_channels(
            bias
        )
        return y.astype(self.dtype)


def along_channels(vector: jax.Array) -> jax.Array:
    """[c] -> [1, 1, 1, c]"""
    return vector[None, None, None, :]


def global_average_pool(x: jax.Array) -> jax.Array:
    """[b, h, w, c] -> [b, c] in float32, for any h and w."""
    return x.astype(jnp.float32).mean((1, 2))


def head(classes: int, fan_in: int, *, zero_bias: bool) -> nn.Dense:
    """The classifier, always in float32."""
    initialise = uniform(fan_in**-0.5)
    return nn.Dense(
        classes,
        kernel_init=initialise,
        bias_init=nn.initializers.zeros if zero_bias else initialise,
        dtype=jnp.float32,
        name="head",
    )


def activation_dtype(where: str, dtype) -> jnp.dtype:
    """Reads the `dtype` argument of a builder: "float32" or "bfloat16"."""
    known = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if name not in known:
        raise ValueError(f"{where}: dtype is {dtype!r}; expected float32 or bfloat16.")
    return jnp.dtype(known[name])


def positive_integer(where: str, name: str, value) -> None:
    """Raises ValueError unless `value` is an int above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"{where}: {name} is {value!r}; expected a whole number above 0."
        )


def check_images(where: str, images: jax.Array, halvings: int, hint: str = "") -> None:
    """Raises ValueError unless images are large enough [b, h, w, c] floats."""
    sizes = contracts.shapes(where, images=(images, "batch height width channels"))
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"{where}: images are {images.dtype}; expected normalised floats."
        )
    smallest = 2**halvings
    height, width = sizes["height"], sizes["width"]
    if min(height, width) < smallest:
        raise ValueError(
            f"{where}: images are {height}x{width}; it halves them {halvings} times "
            f"and needs at least {smallest}x{smallest}{'; ' + hint if hint else ''}."
        )
