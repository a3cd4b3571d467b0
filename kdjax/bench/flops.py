"""Counts a network's work from its jaxpr, whatever its name and its framework.

Multiplications and additions both count (2 MAC). Convolutions and matrix products do,
and nothing else: the rest of a convolutional network is below one percent.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax

from kdjax.contracts import InputError
from kdjax.models.network import Network


class Work(NamedTuple):
    """What a call computes, or a step for each image."""

    flops: dict[str, float]  # dtype of the inputs -> floating-point operations
    bytes: float  # of all outputs of convolutions; see `roofline` for a step's

    @property
    def total(self) -> float:
        return sum(self.flops.values())

    def __add__(self, other: "Work") -> "Work":
        kinds = self.flops.keys() | other.flops.keys()
        flops = {k: self.flops.get(k, 0.0) + other.flops.get(k, 0.0) for k in kinds}
        return Work(flops, self.bytes + other.bytes)

    def times(self, factor: float) -> "Work":
        flops = {kind: factor * count for kind, count in self.flops.items()}
        return Work(flops, factor * self.bytes)


NOTHING = Work({}, 0.0)


def count(function: Callable, *args) -> Work:
    """The work of `function(*args)`; arguments may be ShapeDtypeStructs.

    Padding counts as pixels do, as in the tables of torchvision and timm. Of a branch
    the side with more operations counts. Raises InputError where convolutions or
    products are inside a loop of unknown length.

    >>> import jax.numpy as jnp
    >>> count(jnp.dot, jnp.ones((2, 3)), jnp.ones((3, 5))).flops
    {'float32': 60.0}
    """
    return _of_jaxpr(jax.make_jaxpr(function)(*args).jaxpr)


def of_image(network: Network, image_shape, images: int = 1) -> Work:
    """The work of a network's forward for each of so many images.

    By `train` for teachers too: a network that is evaluated may convolve by a shorter
    algorithm, and model FLOPs are those of the model.
    """
    batch = jax.ShapeDtypeStruct((images, *image_shape), "float32")
    work = count(network.train, *variables_of(network, image_shape), batch)
    return work.times(1.0 / images)


def variables_of(network: Network, image_shape) -> tuple:
    """Shapes of a network's (params, batch_stats)."""
    images = jax.ShapeDtypeStruct((2, *image_shape), "float32")
    return jax.eval_shape(network.init, jax.random.key(0), images)


def _of_jaxpr(jaxpr) -> Work:
    return sum((_of_equation(equation) for equation in jaxpr.eqns), NOTHING)


def _of_equation(equation) -> Work:
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name == "dot_general":
        return _product(equation)
    inner = [_of_jaxpr(jaxpr) for jaxpr in _inner(params)]
    if name == "cond":
        return max(inner, key=lambda work: work.total)
    work = sum(inner, NOTHING)
    if name == "scan":
        return work.times(params["length"])
    if name == "while" and work.total:
        raise InputError(
            "bench: the network convolves or multiplies matrices inside a while loop "
            "of unknown length; expected jax.lax.scan or a fixed number of layers."
        )
    return work


def _inner(params: dict):
    """Every jaxpr that an equation calls."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            jaxpr = getattr(item, "jaxpr", item)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def _convolution(equation) -> Work:
    image, kernel = (variable.aval for variable in equation.invars[:2])
    out, params = equation.outvars[0].aval, equation.params
    _, inputs, *window = params["dimension_numbers"].rhs_spec
    weights = kernel.shape[inputs] * math.prod(kernel.shape[axis] for axis in window)
    # Zeros put between the pixels (the gradient of a stride) are no work.
    holes = math.prod(params["lhs_dilation"])
    flops = 2.0 * math.prod(out.shape) * weights / holes
    size = float(math.prod(out.shape) * out.dtype.itemsize)
    return Work({image.dtype.name: flops}, size)


def _product(equation) -> Work:
    left, out = equation.invars[0].aval, equation.outvars[0].aval
    (contracted, _), _ = equation.params["dimension_numbers"]
    summed = math.prod(left.shape[axis] for axis in contracted)
    return Work({left.dtype.name: 2.0 * math.prod(out.shape) * summed}, 0.0)
