"""python -m kdjax export: a network of a run, for others.

  python -m kdjax export WORKDIR --format=safetensors|stablehlo|onnx
                         --output=FILE [--student=NAME]
                         [--checkpoint=latest|best|STEP] [--dtype=TYPE]
                         [--names=LAYOUT] [--pixels]

safetensors: the weights, under names that the `load_state_dict` of a package for
PyTorch takes, or with --names=kdjax under those of this project, as networks of one's
own always are. ResNets: torchvision, which is timm's too. Wide ResNets: repdistiller.
MobileNetV1: mdistiller, or timm where its activation is ReLU6, as timm's is.
MobileNetV2: torchvision, timm. --dtype=float16 halves the file.
stablehlo: the network with its weights as one program for any batch size, to be read
with `jax.export.deserialize`; --dtype is of its activations. onnx: the same of those
networks as an ONNX graph. With --pixels these two take uint8 images and normalise
them, without it images that are normalised; [batch, height, width, channels] all the
same.
How images are normalised and cut, and the names of the classes, stand in the line that
is printed, in the metadata of safetensors (under "kdjax") and in an ONNX file's; a
program without --pixels, and a loader of weights, has to do the same.
The file is read again and its logits are compared before it gets its name. Prints one
JSON line.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import sys

import jax
import numpy as np

import kdjax
from kdjax import checkpoints, cli, paths
from kdjax.contracts import InputError
from kdjax.data.transforms.augment import Augment
from kdjax.distributed import devices
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.pretrained import Teacher, load_trained, student_network
from kdjax.weights import (
    layouts,
    onnx_graphs,
    onnx_networks,
    programs,
    safetensors,
    trees,
)

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


def main(argv: list[str]) -> int:
    options = read(argv)
    workdir = paths.local(options.workdir, "WORKDIR").resolve()
    output = paths.local(options.output, "--output").resolve()
    devices.configure_cpu(1, 1)
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    section = {
        "workdir": options.workdir,
        "student": options.student,
        "checkpoint": options.checkpoint,
    }
    found = load_trained("export", section, meta["data"])
    part = output.with_name(f"{output.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    write = {
        "safetensors": _write_safetensors,
        "stablehlo": _write_stablehlo,
        "onnx": _write_onnx,
    }[options.format]
    try:
        told = write(part, found, meta["data"], options)
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)
    line = {"output": str(output), "bytes": output.stat().st_size}
    images = _images(meta["data"])
    images.pop("class_names", None)  # a thousand of them; they are in the file
    print(json.dumps(line | told | {"images": images, "network": found.identity}))
    return 0


def read(argv: list[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = cli.parser("export", __doc__)
    parser.add_argument("workdir", metavar="WORKDIR", help="of the run")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument("--student", default="", help="which, if there are several")
    parser.add_argument("--checkpoint", default="latest", help="latest, best or a step")
    parser.add_argument("--dtype", default="", help="default: the network's own")
    parser.add_argument("--names", default="", help="of safetensors: whose to use")
    parser.add_argument("--pixels", action="store_true", help="take uint8 images")
    options = parser.parse_args(argv)
    if options.pixels and options.format == "safetensors":
        raise InputError("--pixels is of programs; safetensors take no images.")
    if options.names and options.format != "safetensors":
        raise InputError("--names is of safetensors; programs have no names.")
    known = FORMATS[options.format]
    if options.dtype and options.dtype not in known:
        raise InputError(
            f"--dtype is {options.dtype!r}; expected one of {', '.join(known)} for "
            f"--format={options.format}."
        )
    return options


def _write_safetensors(part, found: Teacher, data: dict, options) -> dict:
    """Weights of float32 come back bit for bit; then logits have to be the same."""
    model = str(found.identity["model"]["name"])
    tensors, layout = trees.to_tensors(found.variables, _layout(options.names, model))
    other = layouts.activated(layout, model)
    if other:
        print(
            f"kdjax export: the network of {layout} with these names is {other}, which "
            f"has another activation than {model}; load them into one that has the "
            "same, as with timm's act_layer='relu'.",
            file=sys.stderr,
        )
    dtype = options.dtype or "float32"
    tensors = {name: array.astype(dtype) for name, array in tensors.items()}
    told = {"layout": layout} | found.identity | _images(data)
    told = {key: value for key, value in told.items() if key != "workdir"}
    told["version"] = kdjax.__version__
    form = "np" if layout == layouts.OURS else "pt"
    metadata = {"format": form, "kdjax": json.dumps(told)}
    safetensors.write(part, tensors, metadata)
    read = trees.to_variables(str(part), safetensors.read(part), found.variables)
    normalise = _normalise(data)
    answer = jax.jit(lambda pair, x: found.network.evaluate(*pair, normalise(x)).logits)
    tolerance = 0.0 if dtype == "float32" else TOLERANCE[dtype]
    worst = 0.0
    for pixels in _pixels(data):
        wanted = answer(found.variables, pixels)
        said = answer(read.variables, pixels)
        worst = max(worst, _compare(part, said, wanted, tolerance))
    return {"layout": layout, "tensors": len(tensors), "largest_difference": worst}


def _layout(wanted: str, model: str) -> str:
    """The layout whose package has this very network, where nothing else is said."""
    of_activation = {model: layout for layout, model in layouts.ACTIVATIONS.items()}
    return wanted or of_activation.get(model, "")


def _write_stablehlo(part, found: Teacher, data: dict, options) -> dict:
    if options.dtype:
        found = _computing_in(options.dtype, found, data)
    normalise = _normalise(data) if options.pixels else None
    shape = tuple(data["image_shape"])
    part.write_bytes(programs.build(found.network, found.variables, shape, normalise))
    written = part.read_bytes()
    told = {"platforms": programs.PLATFORMS}
    return told | _check_program(
        part, found, data, options.pixels, lambda images: programs.call(written, images)
    )


def _computing_in(dtype: str, found: Teacher, data: dict) -> Teacher:
    """The same weights in a network whose activations have another type."""
    identity = found.identity | {"model": found.identity["model"] | {"dtype": dtype}}
    network = student_network("--dtype", identity, data["classes"])
    return dataclasses.replace(found, network=network, identity=identity)


def _write_onnx(part, found: Teacher, data: dict, options) -> dict:
    normalisation = data["normalisation"]
    moments = (normalisation["mean"], normalisation["std"]) if options.pixels else None
    network = onnx_networks.builder(found.identity["model"]["name"], found.variables)
    shape = tuple(data["image_shape"])
    told = {key: json.dumps(value) for key, value in _images(data).items()}
    part.write_bytes(onnx_graphs.build(found.variables, shape, network, moments, told))
    return _check_program(
        *(part, found, data, options.pixels),
        lambda images: onnx_graphs.call(part, images),
    )


def _images(data: dict) -> dict:
    """What the network was trained to see, and what it says: for whoever runs it.

    `mean` and `std` are of pixels from 0 to 1; `crop` is of pictures of any size: the
    shorter side becomes `short_side`, and the middle, `size` square, is seen.
    """
    told = data["normalisation"] | {k: data[k] for k in ("image_shape", "classes")}
    if data.get("class_names"):
        told["class_names"] = data["class_names"]
    crops = (data["test"] or {}).get("crops")
    if crops:
        told["crop"] = {key: crops[key] for key in ("short_side", "size")}
    return told


def _check_program(part, found: Teacher, data: dict, takes_pixels: bool, call) -> dict:
    """Compares what a written program says with what the network says."""
    normalise, worst = _normalise(data), 0.0
    network = jax.jit(lambda pair, x: found.network.evaluate(*pair, x).logits)
    tolerance = TOLERANCE[found.identity["model"].get("dtype", "float32")]
    for pixels in _pixels(data):
        images = normalise(pixels)
        said = call(pixels if takes_pixels else images)
        wanted = network(found.variables, images)
        worst = max(worst, _compare(part, said, wanted, tolerance))
    kind = "uint8" if takes_pixels else "float32"
    return {"input": kind, "largest_difference": worst}


def _normalise(data: dict):
    return Augment(**data["normalisation"], padding=0, flip=False).evaluate


def _pixels(data: dict) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    shapes = [(rows, *data["image_shape"]) for rows in BATCHES]
    return [random.integers(0, 256, shape, np.uint8) for shape in shapes]


def _compare(part: pathlib.Path, found, wanted, tolerance: float) -> float:
    """The largest difference, in the largest logit."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    largest = max(np.abs(wanted).max(), np.finfo(np.float64).tiny)
    worst = np.abs(found - wanted).max() / largest
    if not worst <= tolerance:  # NaN is not
        raise checkpoints.StorageError(
            f"{part}: read again, its logits differ from the network's by {worst:.1e} "
            f"of the largest; expected {tolerance:g} at most. It was not kept."
        )
    return float(worst)
