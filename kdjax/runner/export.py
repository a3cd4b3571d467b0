"""A network of a run as a file for others, compared with the network itself."""

import dataclasses
import functools
import json
import pathlib
import sys

import jax
import numpy as np

import kdjax
from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.pretrained import REUSED, Teacher, load_trained, student_network
from kdjax.experiment.trials import trained_in
from kdjax.paths import files
from kdjax.reporting.console import say
from kdjax.runner.evaluate import normaliser
from kdjax.weights import (
    layouts,
    onnx_graphs,
    onnx_networks,
    onnx_programs,
    programs,
    safetensors,
)
from kdjax.weights.trees import to_tensors, to_variables

# Format -> what --dtype may be.
FORMATS = {
    "safetensors": ("float32", "float16"),  # of the weights in the file
    "stablehlo": ("float32", "bfloat16"),  # of the activations
    "onnx": ("float32",),
}
BATCHES = (1, 3)  # that are compared
# Of the largest logit. A program sums in another order than the network here, whose
# convolutions may go through Winograd's algorithm.
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


def export(
    workdir: pathlib.Path,
    output: pathlib.Path,
    *,
    format: str,
    student: str = "",
    checkpoint: str = "latest",
    dtype: str = "",
    names: str = "",
    pixels: bool = False,
    weights: str = "",
) -> dict:
    """Writes a network, reads it again and compares the logits.

    Returns the file and what is in it, as JSON holds it. StorageError where the logits
    differ; then nothing is left at `output`.

    Args:
      format: a key of FORMATS; `dtype` is of FORMATS[format], or "": the network's own.
      checkpoint: latest, best or a step.
      names: of safetensors: a layout of `kdjax.weights.layouts`; "": the usual one.
      pixels: of programs: take uint8 images and normalise them.
      weights: one of `checkpoints.WEIGHTS`; "": the average of a run that has one.
    """
    if pixels and format == "safetensors":
        raise InputError("--pixels is of programs; safetensors take no images.")
    if names and format != "safetensors":
        raise InputError("--names is of safetensors; programs have no names.")
    if dtype and dtype not in FORMATS[format]:
        raise InputError(
            f"--dtype is {dtype!r}; expected, for --format={format}, one of "
            f"{', '.join(FORMATS[format])}."
        )
    workdir, student = trained_in(workdir, student)
    if format == "safetensors":
        safetensors.check_installed("--format=safetensors")
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    data = meta["data"]
    section = {"workdir": str(workdir), "student": student, "checkpoint": checkpoint}
    section["weights"] = weights
    trained = load_trained("export", section, data)
    with files.written(output) as part:
        if format == "safetensors":
            line = _write_safetensors(part, trained, data, dtype or "float32", names)
        elif format == "stablehlo":
            line = _write_stablehlo(part, trained, data, dtype, pixels)
        else:
            line = _write_onnx(part, trained, data, pixels)
    images = _images(data)
    images.pop("class_names", None)  # a thousand of them; they are in the file
    file = {"output": str(output), "bytes": files.size(output)}
    return file | line | {"images": images, "network": trained.identity}


def _write_safetensors(part, trained: Teacher, data: dict, dtype, names) -> dict:
    """Weights of float32 come back bit for bit; then logits have to be the same."""
    model = str(trained.identity["model"]["name"])
    # The layout whose package has this very network, where no other is named.
    of_model = {model: layout for layout, model in layouts.ACTIVATIONS.items()}
    # A network with a reused classifier has more than its model's arrays.
    if REUSED not in trained.identity:
        names = names or of_model.get(model, "")
    tensors, layout = to_tensors(trained.variables, names)
    other = layouts.activated(layout, model)
    if other:
        text = (
            f"kdjax export: the network of {layout} with these names is {other}, which "
            f"has another activation than {model}; load them into one that has the "
            "same, as with timm's act_layer='relu'."
        )
        say(text, sys.stderr)
    record = {"layout": layout} | trained.identity | _images(data)
    record.pop("workdir", None)
    record["version"] = kdjax.__version__
    form = "np" if layout == layouts.OURS else "pt"
    metadata = {"format": form, "kdjax": json.dumps(record)}
    tensors = {name: _as(dtype, array) for name, array in tensors.items()}
    safetensors.write(part, tensors, metadata)
    read = to_variables(str(part), safetensors.read(part), trained.variables)
    tolerance = 0.0 if dtype == "float32" else TOLERANCE[dtype]
    worst = _largest_difference(
        *(part, trained, data, tolerance),
        lambda network, pixels, images: network(read.variables, images),
    )
    return {"layout": layout, "tensors": len(tensors), "largest_difference": worst}


def _as(dtype: str, array: np.ndarray) -> np.ndarray:
    """Weights in that type; counters and flags, which states have, as they are."""
    return array if array.dtype.kind in "iub" else array.astype(dtype)


def _write_stablehlo(part, trained: Teacher, data: dict, dtype, pixels: bool) -> dict:
    if dtype:  # the same weights, in a network whose activations have another type
        model = trained.identity["model"] | {"dtype": dtype}
        identity = trained.identity | {"model": model}
        network = student_network("--dtype", identity, data["classes"])
        trained = dataclasses.replace(trained, network=network, identity=identity)
    normalise = normaliser(data).evaluate if pixels else None
    shape = tuple(data["image_shape"])
    program = programs.build(trained.network, trained.variables, shape, normalise)
    part.write_bytes(program)
    program = part.read_bytes()
    call = functools.partial(programs.call, program)
    check = _check_program(part, trained, data, pixels, call)
    return {"platforms": programs.PLATFORMS} | check


def _write_onnx(part, trained: Teacher, data: dict, pixels: bool) -> dict:
    variables, shape = trained.variables, tuple(data["image_shape"])
    metadata = {key: json.dumps(value) for key, value in _images(data).items()}
    nodes = None
    # A network with a reused classifier has more than its model's arrays.
    if REUSED not in trained.identity:
        nodes = onnx_networks.builder(trained.identity["model"]["name"], variables)
    if nodes is None:
        normalise = normaliser(data).evaluate if pixels else None
        given = (trained.network, variables, shape, normalise, metadata)
        part.write_bytes(onnx_programs.build(*given))
    else:
        moments = data["normalisation"]
        moments = (moments["mean"], moments["std"]) if pixels else None
        part.write_bytes(onnx_graphs.build(variables, shape, nodes, moments, metadata))
    call = functools.partial(onnx_graphs.call, part)
    return _check_program(part, trained, data, pixels, call)


def _images(data: dict) -> dict:
    """The images that the network was trained on, and the classes of its logits.

    `crop` is of images of any size: the shorter side becomes `short_side`, and the
    square of `size` in the middle is cut.
    """
    record = data["normalisation"] | {k: data[k] for k in ("image_shape", "classes")}
    if data.get("class_names"):
        record["class_names"] = data["class_names"]
    crops = (data["test"] or {}).get("crops")
    if crops:
        record["crop"] = {key: crops[key] for key in ("short_side", "size")}
    return record


def _check_program(part, trained: Teacher, data: dict, pixels: bool, call) -> dict:
    """Compares the logits of a written program with those of the network."""
    tolerance = TOLERANCE[trained.identity["model"].get("dtype", "float32")]
    worst = _largest_difference(
        *(part, trained, data, tolerance),
        lambda network, raw, images: call(raw if pixels else images),
    )
    return {"input": "uint8" if pixels else "float32", "largest_difference": worst}


def _largest_difference(
    part: pathlib.Path, trained: Teacher, data: dict, tolerance: float, written
) -> float:
    """Of the network's logits and those of the file, in the largest logit.

    `written` takes the network, a function of variables and images, uint8 images, and
    the same normalised.
    """
    random, worst = np.random.default_rng(0), 0.0
    network = jax.jit(lambda pair, x: trained.network.evaluate(*pair, x).logits)
    for rows in BATCHES:
        pixels = random.integers(0, 256, (rows, *data["image_shape"]), np.uint8)
        images = normaliser(data).evaluate(pixels)
        expected = np.asarray(network(trained.variables, images), np.float64)
        largest = max(np.abs(expected).max(), np.finfo(np.float64).tiny)
        answer = np.asarray(written(network, pixels, images), np.float64)
        difference = np.abs(answer - expected).max()
        if not difference <= tolerance * largest:  # NaN is not
            raise checkpoints.StorageError(
                f"{part}: read again, its logits differ from the network's by "
                f"{difference / largest:.1e} of the largest; expected {tolerance:g} at "
                "most. It was not kept."
            )
        worst = max(worst, float(difference / largest))
    return worst
