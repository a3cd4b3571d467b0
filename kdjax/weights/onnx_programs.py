"""Any network as an ONNX graph, by jax2onnx, the converter of JAX programs.

It asks for an older Orbax than kdjax needs, and imports none: INSTALL is without its
dependencies. It is given a program that is traced here. Version 0.17 replaces functions
of Flax while it traces by itself, with ones that take no positional arguments, such as
`nn.max_pool(x, (2, 2))`; turns a maximum over windows into a pooling of four axes, of
which ONNX Runtime has none; pads no array of any batch size; and has no choice of a
platform.
"""

import importlib.util
import itertools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jax.extend import core

from kdjax.contracts import InputError
from kdjax.models.network import Network
from kdjax.models.platform import traced_for
from kdjax.types import PyTree

OPSET = 21  # of 2024
INSTALL = "pip install onnx onnxruntime onnx-ir; pip install --no-deps jax2onnx"
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where calls have what they call
_LOOPS = ("scan", "while")


def build(
    network: Network,
    variables: tuple[PyTree, PyTree],
    image_shape: tuple[int, ...],
    normalise: Callable | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The file of a network, from "images" [b, height, width, channels] to "logits".

    `normalise`, uint8 [b, h, w, c] -> floats, is the graph's first part; without it the
    input is normalised float32. What does not depend on the images is computed here.
    """
    jax2onnx = _package()

    def answer(images):
        images = normalise(images) if normalise else images
        return network.evaluate(*variables, images).logits

    (batch,) = export.symbolic_shape("batch")
    dtype = jnp.uint8 if normalise else jnp.float32
    images = jax.ShapeDtypeStruct((batch, *image_shape), dtype)
    try:
        with traced_for("tpu"):  # plain convolutions
            program = jax.make_jaxpr(answer)(images)
        model = jax2onnx.to_onnx(
            lambda images: _evaluate(program, images)[0],
            [images],
            opset=OPSET,
            model_name="kdjax",
            input_names=["images"],
            output_names=["logits"],
        )
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(
            f"--format=onnx: this network cannot be written as ONNX, by jax2onnx and "
            f"for any batch size: {type(error).__name__}: {text}. Expected a network "
            "without such operations, whose shapes may depend on images.shape[0] and "
            "not on len(images); or --format=safetensors."
        ) from error
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _package():
    for name in ("jax2onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"--format=onnx needs the package {name} for this network: {INSTALL}."
            )
    import jax2onnx

    return jax2onnx


def _evaluate(program: core.ClosedJaxpr, *arguments) -> list:
    """What a traced program returns, calls and choices of a platform resolved."""
    jaxpr = program.jaxpr
    values = dict(zip(jaxpr.constvars, program.consts, strict=True))
    values |= zip(jaxpr.invars, arguments, strict=True)

    def value(atom):
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        results = _results(equation, [value(atom) for atom in equation.invars])
        values |= zip(equation.outvars, results, strict=True)
    return [value(atom) for atom in jaxpr.outvars]


def _results(equation, given: list) -> list:
    name, params = equation.primitive.name, equation.params
    if name == "platform_index":
        platforms = params["platforms"]
        return [platforms.index(None) if None in platforms else 0]  # None: any other
    if name == "cond" and isinstance(given[0], int):
        return _evaluate(params["branches"][given[0]], *given[1:])
    if name == "reduce_window_max":
        return [_maximum(given[0], params)]
    if name == "pad":
        return [_padded(*given, params["padding_config"])]
    inner = next((params[key] for key in _INNER if key in params), None)
    if inner is not None and name not in _LOOPS:
        closed = hasattr(inner, "consts")
        inner = inner if closed else core.ClosedJaxpr(inner, ())
        return _evaluate(inner, *given)
    if any(isinstance(one, jax.core.Tracer) for one in given):
        results = equation.primitive.bind(*given, **params)
    else:
        with jax.ensure_compile_time_eval():
            results = equation.primitive.bind(*given, **params)
    return results if equation.primitive.multiple_results else [results]


def _maximum(x: jax.Array, params: Mapping) -> jax.Array:
    """The maximum over windows, of shifted images: of any number of axes."""
    sides = [(low, high, 0) for low, high in params["padding"]]
    x = _padded(x, np.asarray(-np.inf, x.dtype), sides)
    window, strides = params["window_dimensions"], params["window_strides"]
    result = None
    for first in itertools.product(*map(range, window)):
        shifted = x
        for axis, (begin, side) in enumerate(zip(first, window, strict=True)):
            if side > 1:
                end = x.shape[axis] - side + 1 + begin
                how = {"stride": strides[axis], "axis": axis}
                shifted = lax.slice_in_dim(shifted, begin, end, **how)
        result = shifted if result is None else lax.max(result, shifted)
    return result


def _padded(x: jax.Array, value: jax.Array, sides) -> jax.Array:
    if any(inner or low < 0 or high < 0 for low, high, inner in sides):
        return lax.pad(x, value, sides)
    if not any(low or high for low, high, _ in sides):
        return x
    pairs = [(low, high) for low, high, _ in sides]
    return jnp.pad(x, pairs, constant_values=np.asarray(value).item())
