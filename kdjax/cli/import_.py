"""python -m kdjax import: weights from elsewhere, as a teacher of this project.

  python -m kdjax import FILE --workdir=DIR --model=NAME --image_shape=H,W,C
                         --mean=R,G,B --std=R,G,B [--student=NAME]
                         [--classes=FILE] [--dtype=bfloat16] [--key=NAME]

FILE is .safetensors, or PyTorch's .pth or .th where PyTorch is installed. It holds a
ResNet with torchvision's names, which are timm's too; a CIFAR ResNet with those of the
published CIFAR-10 checkpoints, whose shortcuts have no parameters; a MobileNet or a
Wide ResNet with names of timm, torchvision or the distillation benchmarks; or what
`export` wrote. Students name DIR in --config.teacher.workdir.

Of a checkpoint with several weights, such as those of a training and their average,
--key=NAME says which: state_dict or state_dict_ema, model or model_ema.

Mean and standard deviation, of pixels from 0 to 1, are those with which the weights
were trained; students may have their own. Where students see images of another size,
their config says --config.teacher.input_size=H,W. --classes names a text file with the
names of the network's classes, one a line: students may have them in another order, or
only some of them. In bfloat16, for accelerators, the teacher's activations take half of
the memory; its weights stay as they are. Prints one JSON line, and the line of
`evaluate` that checks the teacher: weights of another network can have the same names.
"""

import argparse
import json
import pathlib
import re
import sys

import jax
import jax.numpy as jnp

from kdjax import cli, paths
from kdjax.contracts import InputError
from kdjax.data.transforms.augment import Augment
from kdjax.distributed import devices
from kdjax.experiment.build import versions
from kdjax.experiment.networks import CHECKPOINTS, build_network, count_classes
from kdjax.experiment.schema import guarded
from kdjax.experiment.teacher_inputs import read_names
from kdjax.reporting.files import replace
from kdjax.runner import workdir as workdirs
from kdjax.weights import imported, layouts, trees, variants

MOMENTS = ("mean", "std")


def main(argv: list[str]) -> int:
    options, data = read(argv)
    workdir = paths.local(options.workdir, "--workdir").resolve()
    file = paths.local(options.file, "FILE")
    devices.configure_cpu(1, 1)
    tensors = imported.read(file, options.key)
    data["classes"] = trees.counted_classes(str(file), tensors)
    if options.classes:
        data["class_names"] = _class_names(options.classes, data["classes"])
    model = {"name": options.model}
    if options.dtype != "float32":
        model["dtype"] = options.dtype
    _check_pools(file, options.model)
    told = imported.origin(file)
    _check_origin(str(file), told, model, data)
    found = _convert(str(file), tensors, model, data)
    if not told:
        _check_activation(str(file), found.layout, options.model)
    name = options.student or re.sub(r"[^A-Za-z0-9._-]", "_", options.model)
    digest = imported.digest(found.variables, data["normalisation"], [model])
    source = {
        "file": file.name,
        "sha256": imported.sha256(file),
        "layout": found.layout,
        "digest": digest,
    } | ({"key": options.key} if options.key else {})
    meta = imported.identity(name, model, data, source, versions())
    with workdirs.locked(workdir):
        _save(workdir, name, found.variables, meta)
    line = {"workdir": str(workdir), "student": name, "model": options.model}
    data.pop("class_names", None)  # a thousand of them
    print(json.dumps(line | data | source))
    print(
        f"Compare it with what is published: {_check_line(options, data)}",
        file=sys.stderr,
    )
    return 0


def _check_line(options: argparse.Namespace, data: dict) -> str:
    """The command that scores these weights: the one check that finds a wrong network.

    >>> words = argparse.Namespace(workdir="runs/resnet34")
    >>> _check_line(words, {"classes": 10})
    'python -m kdjax evaluate --workdir=runs/resnet34 --data=NAME'
    """
    imagenet = " --data=imagenet2012 --split=validation"
    known = imagenet if data["classes"] == 1000 else " --data=NAME"
    return f"python -m kdjax evaluate --workdir={options.workdir}{known}"


def read(argv: list[str]) -> tuple[argparse.Namespace, dict]:
    """The options, and what the teacher expects to see."""
    parser = cli.parser("import", __doc__)
    parser.add_argument("file", metavar="FILE", help="the weights")
    parser.add_argument("--workdir", required=True, help="where the teacher will lie")
    parser.add_argument("--model", required=True, help="its architecture: resnet50")
    parser.add_argument("--image_shape", required=True, help="224,224,3")
    parser.add_argument("--mean", required=True, help="of each channel: 0.5,0.5,0.5")
    parser.add_argument("--std", required=True, help="of each channel")
    parser.add_argument("--student", default="", help="its name; default: the model's")
    parser.add_argument("--classes", default="", help="text file: a name on each line")
    parser.add_argument("--key", default="", help="of a .pth with several weights")
    parser.add_argument("--dtype", default="float32", help="of its activations")
    options = parser.parse_args(argv)
    return options, _data(options)


def _class_names(file: str, classes: int) -> list[str]:
    names = read_names("--classes", file)
    if len(names) != classes:
        raise InputError(
            f"--classes: {file} names {len(names)} classes and the weights have "
            f"{classes}; expected as many."
        )
    lines = {}
    for line, name in enumerate(names, start=1):
        if name in lines:
            raise InputError(
                f"--classes: {file} names {name!r} twice, in lines {lines[name]} and "
                f"{line}; expected names that tell the classes apart. Write in both "
                "lines what the students' data set calls them: ImageNet's usual list "
                "has crane and maillot twice, where its synsets, such as n02012849 and "
                "n03126707, do not repeat."
            )
        lines[name] = line
    return names


def _data(options: argparse.Namespace) -> dict:
    """Shape and normalisation of the images, checked."""
    shape = _numbers("--image_shape", options.image_shape, int)
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(
            f"--image_shape is {options.image_shape!r}; expected HEIGHT,WIDTH,CHANNELS."
        )
    both = {key: _numbers(f"--{key}", getattr(options, key), float) for key in MOMENTS}
    guarded("--mean, --std", Augment, **both, padding=0, flip=False)
    if len(both["mean"]) != shape[2]:
        raise InputError(
            f"--mean has {len(both['mean'])} number(s); expected {shape[2]}, one for "
            "each channel of --image_shape."
        )
    normalisation = {key: list(values) for key, values in both.items()}
    return {"image_shape": list(shape), "normalisation": normalisation}


def _numbers(flag: str, text: str, kind: type) -> tuple:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"{flag} is {text!r}; expected numbers with commas between."
        ) from error


def _convert(where: str, tensors: dict, model: dict, data: dict) -> trees.Read:
    """The file's tensors as the variables of the network."""
    network = build_network("--model", model, data["classes"])
    count_classes("--image_shape", network, data["image_shape"])
    images = jax.ShapeDtypeStruct((1, *data["image_shape"]), jnp.float32)
    wanted = jax.eval_shape(network.init, jax.random.key(0), images)
    return trees.to_variables(where, tensors, wanted)


def _check_pools(file: pathlib.Path, model: str) -> None:
    """timm's networks with other pools have the names and the shapes of ours."""
    other = variants.unseen([file.name, *imported.metadata(file).values()])
    if other:
        raise InputError(
            f"{file} is of {other}, and --model is {model}: it has the same tensors, "
            "and pools before its strides that no network here has. Expected other "
            "weights; what was imported before is scored by `python -m kdjax evaluate "
            "--data=imagenet2012 --split=validation`."
        )


def _check_origin(where: str, told: dict, model: dict, data: dict) -> None:
    """What a file of `export` says of itself must be what the flags say."""
    flags = {"model": model["name"], "image_shape": data["image_shape"]}
    flags |= data["normalisation"]
    origin = told | {"model": told.get("model", {}).get("name")}
    different = [
        f"--{key} is {value} and there it is {origin[key]}"
        for key, value in flags.items()
        if origin.get(key) not in (None, value)
    ]
    if different:
        raise InputError(
            f"{where} says of itself what it is: {'; '.join(different)}. Expected the "
            "same; mean and standard deviation are those that it was trained with."
        )


def _check_activation(where: str, layout: str, model: str) -> None:
    other = layouts.activated(layout, model)
    if other:
        raise InputError(
            f"--model is {model}, and {where} has the names of {layout}, whose network "
            f"has another activation; expected --model={other}."
        )


def _save(workdir: pathlib.Path, name: str, variables, meta: dict) -> None:
    """Writes the checkpoint, unless it is there."""
    directory = workdir / CHECKPOINTS
    old, config = imported.present(directory), workdir / workdirs.CONFIG
    if config.exists() or (old is None and workdirs.is_done(workdir)):
        raise InputError(
            f"--workdir: {workdir} holds a run; expected a directory of its own."
        )
    same = ("students", "data", "imported")
    if old is None:
        imported.save(directory, name, variables, meta)
    elif any(old.get(key) != meta[key] for key in same):
        raise InputError(
            f"--workdir: {workdir} holds other weights, or the same with other flags: "
            f"{'; '.join(_changed(old, meta))}. Use a new --workdir."
        )
    else:
        print(f"{workdir} has these weights already.", file=sys.stderr)
    replace(workdir / workdirs.IMPORTED, json.dumps(meta, indent=2) + "\n")


def _changed(old: dict, new: dict) -> list[str]:
    """What differs, by the flag that says it."""
    if "imported" not in old:
        return ["it is a run's"]
    was, now = _flags_of(old), _flags_of(new)
    return [
        f"{flag} was {str(was[flag])[:80]} and is {str(now[flag])[:80]}"
        for flag in now
        if was[flag] != now[flag]
    ]


def _flags_of(meta: dict) -> dict:
    (name, row), *_ = meta["students"].items()
    model, data, source = row["model"], meta["data"], meta["imported"]
    flags = {"--student": name, "--model": model["name"]}
    flags |= {"--dtype": model.get("dtype", "float32"), "--key": source.get("key", "")}
    flags |= {"--image_shape": data["image_shape"]}
    flags |= {f"--{key}": data["normalisation"][key] for key in MOMENTS}
    flags |= {"--classes": data.get("class_names")}
    return flags | {
        f"FILE's {key}": source[key] for key in ("file", "sha256", "digest")
    }
