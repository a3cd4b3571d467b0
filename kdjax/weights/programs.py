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
from kdjax.user_code import place_of

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
    try:
        exported = export.export(jax.jit(answer), platforms=PLATFORMS)(images)
    except Exception as error:
        if not _is_of_any_batch(error):
            raise
        where = f"{place}: " if (place := place_of(error)) else ""
        raise InputError(
            "--format=stablehlo: this network cannot be written for any batch size: "
            f"{where}{text_of(error)}. Expected a network whose shapes may depend on "
            "images.shape[0] and not on len(images); or --format=safetensors."
        ) from error
    return exported.serialize()


def _is_of_any_batch(error: Exception) -> bool:
    """Whether JAX complains that the batch has no size yet."""
    is_size = isinstance(error, TypeError) and "_DimExpr" in str(error)
    return is_size or isinstance(error, jax.errors.InconclusiveDimensionOperation)


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
