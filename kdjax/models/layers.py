"""What the architectures share: convolution, batch norm, head, checks.

Conventions are those of the PyTorch models in the literature, so that their weights and
results carry over: symmetric padding (`SAME` pads strided convolutions unevenly), He's
normal initialisation over the fan-out, batch norm with epsilon 1e-5. Images are NHWC.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax import contracts
from kdjax.models import winograd
from kdjax.models.network import FROZEN
from kdjax.models.platform import target_platform

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


def frozen(module: nn.Module, name: str, compute: Callable[[], jax.Array]) -> jax.Array:
    """compute(), which reads weights alone: what `Network.freeze` kept of it, if so."""
    if module.has_variable(FROZEN, name):
        return module.get_variable(FROZEN, name)
    value = compute()
    if module.is_mutable_collection(FROZEN) and not module.is_initializing():
        module.put_variable(FROZEN, name, value)
    return value


def convolve(
    images, kernel, stride: int, pad: int, groups: int = 1, layout: str = "HWIO"
) -> jax.Array:
    """[b, h, w, c] with [k, k, c / groups, out]; stride and padding on every side."""
    strides, padding = (stride, stride), ((pad, pad), (pad, pad))
    layout = {"dimension_numbers": ("NHWC", layout, "NHWC")}
    options = layout | {"feature_group_count": groups}
    return jax.lax.conv_general_dilated(images, kernel, strides, padding, **options)


class Conv(nn.Module):
    """A convolution, padded by kernel // 2 on every side. Biases begin at 0."""

    features: int
    kernel: int
    stride: int
    dtype: jnp.dtype
    use_bias: bool = False
    kernel_init: Callable = fan_out_normal

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, multiplier: jax.Array | None = None
    ) -> jax.Array:
        """Convolves; `multiplier`, [features], scales the output."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        scaled = functools.partial(scale, kernel, multiplier, self.dtype)
        x, place = x.astype(self.dtype), (self.stride, self.kernel // 2)
        if train:
            y = convolve(x, scaled(), *place)
        elif winograd.suits(x, kernel, self.stride):
            factors = frozen(self, "factors", lambda: winograd.factors(scaled()))
            y = winograd.convolve(x, factors)
        elif target_platform() == "gpu":
            # cuDNN's order; others would be transposed in every step.
            transposed = frozen(self, "ohwi", lambda: scaled().transpose(3, 0, 1, 2))
            y = convolve(x, transposed, *place, layout="OHWI")
        else:
            y = convolve(x, frozen(self, "kernel", scaled), *place)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, shape[-1:], jnp.float32)
        bias = bias if multiplier is None else bias * multiplier
        return y + along_channels(bias).astype(y.dtype)


class BatchNorm(nn.Module):
    """Batch norm over batch, height and width; float32 statistics at any dtype.

    Flax's own relies on implicit promotion of bfloat16, which strict promotion refuses.
    Its variables have the same names. `momentum` weighs the past: 0.9 is PyTorch's 0.1.
    The running variance is the biased one, as in Flax; PyTorch keeps the unbiased one.
    """

    features: int
    dtype: jnp.dtype
    momentum: float = 0.9
    epsilon: float = 1e-5

    def setup(self):
        shape = (self.features,)
        self.scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        self.bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        self.mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        self.var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalises by the batch's statistics, or by the running ones."""
        x = x.astype(jnp.float32)
        if not train:
            multiplier, offset = self.affine()
            y = x * along_channels(multiplier) + along_channels(offset)
            return y.astype(self.dtype)
        mean = x.mean((0, 1, 2))
        # E[x^2] - E[x]^2 reads x once; rounding may take it below zero.
        var = jnp.maximum(jnp.square(x).mean((0, 1, 2)) - jnp.square(mean), 0.0)
        if not self.is_initializing():
            keep = self.momentum
            self.mean.value = keep * self.mean.value + (1 - keep) * mean
            self.var.value = keep * self.var.value + (1 - keep) * var
        multiplier = self.scale * jax.lax.rsqrt(var + self.epsilon)
        y = (x - along_channels(mean)) * along_channels(multiplier)
        return (y + along_channels(self.bias)).astype(self.dtype)

    def affine(self) -> tuple[jax.Array, jax.Array]:
        """(multiplier, offset), [features]: what the running statistics amount to."""

        def multiplier():
            return self.scale * jax.lax.rsqrt(self.var.value + self.epsilon)

        def offset():
            return self.bias - self.mean.value * multiplier()

        return frozen(self, "multiplier", multiplier), frozen(self, "offset", offset)


def conv_norm(conv: Conv, norm: BatchNorm, x: jax.Array, train: bool) -> jax.Array:
    """norm(conv(x)). Evaluating, one convolution: the multiplier is in its kernel.

    That saves a frozen teacher a pass over each such activation, and lets cuDNN fuse
    convolution, offset and ReLU.
    """
    if train:
        return norm(conv(x, train), train)
    multiplier, offset = norm.affine()
    y = conv(x, train, multiplier)
    shift = frozen(conv, "shift", lambda: offset.astype(y.dtype))
    return y + along_channels(shift)


def scale(kernel: jax.Array, multiplier: jax.Array | None, dtype) -> jax.Array:
    """The kernel [..., features] times `multiplier`, [features], in another dtype."""
    if multiplier is not None:
        kernel = kernel * along_channels(multiplier)
    return kernel.astype(dtype)


def along_channels(vector: jax.Array) -> jax.Array:
    """[c] -> [1, 1, 1, c]"""
    return vector[None, None, None, :]


def global_average_pool(x: jax.Array) -> jax.Array:
    """[b, h, w, c] -> [b, c] in float32, for any h and w."""
    if x.dtype != jnp.float32 and target_platform() == "cpu":
        # XLA's CPU backend (jax 0.11.2) makes NaN of bfloat16 sums that it fuses with
        # the mean: networks that return logits alone.
        x = jax.lax.optimization_barrier(x)
    return x.astype(jnp.float32).mean((1, 2))


def head(
    classes: int, fan_in: int, *, zero_bias: bool, kernel_std: float | None = None
) -> nn.Dense:
    """The classifier, always in float32; weights of N(0, kernel_std) where it is given.

    Otherwise they are PyTorch's, uniform over the fan-in.
    """
    initialise = uniform(fan_in**-0.5)
    normal = kernel_std and nn.initializers.normal(kernel_std)
    return nn.Dense(
        classes,
        kernel_init=normal or initialise,
        bias_init=nn.initializers.zeros if zero_bias else initialise,
        dtype=jnp.float32,
        name="head",
    )


def activation_dtype(where: str, dtype) -> jnp.dtype:
    """Reads the `dtype` argument of a builder: "float32" or "bfloat16"."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if name not in ("float32", "bfloat16"):
        raise ValueError(f"{where}: dtype is {dtype!r}; expected float32 or bfloat16.")
    return jnp.dtype(name)


def positive_integer(where: str, name: str, value) -> None:
    """Raises ValueError unless `value` is an int above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        expected = "a whole number above 0"
        raise ValueError(f"{where}: {name} is {value!r}; expected {expected}.")


def check_images(where: str, images: jax.Array, halvings: int, hint: str = "") -> None:
    """Raises ValueError unless images are large enough [b, h, w, c] floats."""
    sizes = contracts.shapes(where, images=(images, "batch height width channels"))
    if not jnp.issubdtype(images.dtype, jnp.floating):
        expected = "normalised floats"
        raise ValueError(f"{where}: images are {images.dtype}; expected {expected}.")
    smallest = 2**halvings
    height, width = sizes["height"], sizes["width"]
    if min(height, width) < smallest:
        raise ValueError(
            f"{where}: images are {height}x{width}; it halves them {halvings} times "
            f"and needs at least {smallest}x{smallest}{'; ' + hint if hint else ''}."
        )
