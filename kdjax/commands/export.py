"""python -m kdjax export: a network of a run, for others.

  python -m kdjax export WORKDIR --format=safetensors|stablehlo|onnx
                         --output=FILE [--student=NAME]
                         [--checkpoint=latest|best|STEP] [--pixels]

safetensors: the weights. ResNets have torchvision's names and layouts, so torchvision's
and timm's `load_state_dict` take them; other networks have the names of this project.
stablehlo: the network with its weights as one program for any batch size, to be read
with `jax.export.deserialize`. onnx: the same of a ResNet as an ONNX graph. With
--pixels these two take uint8 images and normalise them, without it images that are
normalised; [batch, height, width, channels] all the same. The file is read again and
its logits are compared before it gets its name. Prints one JSON line.
"""

import argparse
import json
import os
import pathlib

import jax
import numpy as np

import kdjax
from kdjax import checkpoints, commands
from kdjax.build.networks import CHECKPOINTS
from kdjax.build.teachers import Teacher, load_trained
from kdjax.commands import devices
from kdjax.contracts import InputError
from kdjax.data.augment import Augment
from kdjax.weights import onnx_graphs, programs, safetensors, trees

FORMATS = ("safetensors", "stablehlo", "onnx")
BATCHES = (1, 3)  # that are compared
# Of the largest logit. A program sums in another order than the network here, whose
# convolutions may go through Winograd's algorithm.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


def main(argv: list[str]) -> int:
    options = read(argv)
    devices.configure_cpu(1, 1)
    workdir = pathlib.Path(options.workdir).expanduser().resolve()
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    section = {
        "workdir": options.workdir,
        "student": options.student,
        "checkpoint": options.checkpoint,
    }
    found = load_trained("export", section, meta["data"])
    output = pathlib.Path(options.output).expanduser().resolve()
    part = output.with_name(f"{output.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    write = {
        "safetensors": _write_safetensors,
        "stablehlo": _write_stablehlo,
        "onnx": _write_onnx,
    }[options.format]
    try:
        told = write(part, found, meta["data"], options.pixels)
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)
    line = {"output": str(output), "bytes": output.stat().st_size}
    print(json.dumps(line | told | {"network": found.identity}))
    return 0


def read(argv: list[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = commands.parser("export", __doc__)
    parser.add_argument("workdir", metavar="WORKDIR", help="of the run")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument("--student", default="", help="which, if there are several")
    parser.add_argument("--checkpoint", default="latest", help="latest, best or a step")
    parser.add_argument("--pixels", action="store_true", help="take uint8 images")
    options = parser.parse_args(argv)
    if options.pixels and options.format == "safetensors":
        raise InputError("--pixels is of programs; safetensors take no images.")
    return options


def _write_safetensors(part, found: Teacher, data: dict, _) -> dict:
    """Weights come back bit for bit, so logits are compared bit for bit too."""
    tensors, layout = trees.to_tensors(found.variables)
    told = {"layout": layout} | found.identity | data["normalisation"]
    told = {key: value for key, value in told.items() if key != "workdir"}
    told |= {key: data[key] for key in ("classes", "image_shape")}
    told["version"] = kdjax.__version__
    form = "pt" if layout == "torchvision" else "np"
    metadata = {"format": form, "kdjax": json.dumps(told)}
    safetensors.write(part, tensors, metadata)
    read = trees.to_variables(str(part), safetensors.read(part), found.variables)
    normalise = _normalise(data)
    answer = jax.jit(lambda pair, x: found.network.evaluate(*pair, normalise(x)).logits)
    for pixels in _pixels(data):
        wanted = answer(found.variables, pixels)
        _compare(part, answer(read.variables, pixels), wanted, 0.0)
    return {"layout": layout, "tensors": len(tensors)}


def _write_stablehlo(part, found: Teacher, data: dict, takes_pixels: bool) -> dict:
    normalise = _normalise(data) if takes_pixels else None
    shape = tuple(data["image_shape"])
    part.write_bytes(programs.build(found.network, found.variables, shape, normalise))
    written = part.read_bytes()
    told = {"platforms": programs.PLATFORMS}
    return told | _check_program(
        part, found, data, takes_pixels, lambda images: programs.call(written, images)
    )


def _write_onnx(part, found: Teacher, data: dict, takes_pixels: bool) -> dict:
    tensors, layout = trees.to_tensors(found.variables)
    if layout != "torchvision":
        raise InputError(
            f"--format=onnx writes ResNets, and {found.identity['model']['name']} is "
            "another network; expected --format=stablehlo or safetensors."
        )
    normalisation = data["normalisation"]
    moments = (normalisation["mean"], normalisation["std"]) if takes_pixels else None
    part.write_bytes(onnx_graphs.build(tensors, tuple(data["image_shape"]), moments))
    return _check_program(
        part, found, data, takes_pixels, lambda images: onnx_graphs.call(part, images)
    )


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
