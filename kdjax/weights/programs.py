"""A network with its weights as one StableHLO program, for any batch size.

`jax.export.deserialize(FILE).call(images)` runs it on each of PLATFORMS, without kdjax
and without Flax; `.mlir_module()` shows it.
"""

import importlib.util
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from kdjax.contracts import InputError
from kdjax.models.network import Network
from kdjax.paths.files import text_of
from kdjax.types import PyTree

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def build(
    network: Network,
    variables: tuple[PyTree, PyTree],
    image_shape: tuple[int, ...],
    normalise: Callable | None = None,
) -> bytearray:
    """Traces `images -> logits` with the weights as constants; returns the file.

    `normalise`, uint8 [b, h, w, c] -> floats, is the program's first part; without it
    the input is normalised float32. It is not multiplied into the first kernel: zeros
    stand for the mean at the borders. `image_shape` is (height, width, channels).
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise InputError(
            "--format=stablehlo: jax.export needs the package flatbuffers: pip install "
            "flatbuffers."
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


def describe(where: str, program: bytes) -> str:
    """What a program takes and gives; InputError where it cannot be read."""
    try:
        read = export.deserialize(bytearray(program))
    except Exception as error:  # of flatbuffers, struct or MLIR: it may hold anything
        raise InputError(
            f"{where}: not a program of jax.export: {text_of(error)}."
        ) from error
    ends = (read.in_avals, read.out_avals)
    taken, given = (" and ".join(map(str, one)) for one in ends)
    platforms = ", ".join(read.platforms)
    return f"a StableHLO program for {platforms}: {taken} -> {given}"
