"""A network with its weights as one StableHLO program, for any batch size.

The file is what `jax.export` writes: StableHLO in its portable form, with what calling
it needs. `jax.export.deserialize(FILE).call(images)` runs it on each of PLATFORMS,
without kdjax and without Flax; `.mlir_module()` shows it.
"""

import importlib.util
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from kdjax.contracts import InputError
from kdjax.models.network import Network
from kdjax.types import PyTree

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def build(
    network: Network,
    variables: tuple[PyTree, PyTree],
    image_shape: tuple[int, ...],
    normalise: Callable | None = None,
) -> bytearray:
    """Traces `images -> logits` with the weights as constants; returns the file.

    Args:
      network: what answers.
      variables: its weights.
      image_shape: (height, width, channels).
      normalise: uint8 [b, h, w, c] -> floats, which then is a part of the program and
        its input uint8; None: its input is normalised float32. It is not multiplied
        into the first kernel: that would be wrong at the borders, where zeros stand
        for the mean.

    Raises:
      InputError: the package that writes such files is not installed.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise InputError(
            "--format=stablehlo: jax.export needs the package flatbuffers: pip install "
            "'.[weights]'."
        )

    def answer(images):
        images = normalise(images) if normalise else images
        constants = jax.tree.map(jnp.asarray, variables)
        return network.evaluate(*constants, images).logits

    (batch,) = export.symbolic_shape("batch")
    dtype = jnp.uint8 if normalise else jnp.float32
    images = jax.ShapeDtypeStruct((batch, *image_shape), dtype)
    exported = export.export(jax.jit(answer), platforms=PLATFORMS)(images)
    return exported.serialize()


def call(program: bytes, images: np.ndarray) -> np.ndarray:
    """The logits of a program of `build`."""
    return np.asarray(export.deserialize(bytearray(program)).call(images))
