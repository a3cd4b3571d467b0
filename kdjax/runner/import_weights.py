"""Weights from elsewhere, checked and written as a teacher's directory."""

import functools
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.contracts import InputError, versions
from kdjax.data.transforms.augment import Augment
from kdjax.experiment.build import PACKAGES
from kdjax.experiment.builders import allow_code
from kdjax.experiment.networks import CHECKPOINTS, build_network, count_classes
from kdjax.experiment.teacher_inputs import are_numbers, read_names
from kdjax.models.network import Network
from kdjax.reporting.console import say
from kdjax.runner import workdir as workdirs
from kdjax.weights import imported, layouts, prefixes, trees, variants


def import_weights(
    file: pathlib.Path,
    workdir: pathlib.Path,
    *,
    model: str,
    image_shape: tuple[int, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    student: str = "",
    classes: str = "",
    key: str = "",
    prefix: str | None = None,
    dtype: str = "float32",
) -> dict:
    """Writes a file of weights as the directory of a teacher; returns what it imported.

    Args:
      file: .safetensors, or .pth and .th where PyTorch is installed.
      workdir: absolute; of its own, or that of the same import.
      image_shape: (height, width, channels).
      mean, std: of each channel, of pixels from 0 to 1, in training.
      classes: text file with the name of a class on each line; "": the names that
        `export` wrote into the file, if there are any.
      key: of a .pth with several weights.
      prefix: what the names of its tensors begin with, where several networks fit.
    """
    data = _images(image_shape, mean, std)
    tensors = imported.read(file, key)
    section = {"name": model} | ({} if dtype == "float32" else {"dtype": dtype})
    record = imported.origin(file)
    _check_origin(file, record, model, data)
    of_file, network = _find(str(file), tensors, prefix, section, data)
    data["classes"], read = of_file.classes, of_file.read
    names = _class_names(file, record, classes, of_file.classes)
    other = None if record else layouts.activated(read.layout, model)
    if other:
        raise InputError(
            f"--model is {model}, and {file} has the names of {read.layout}, whose "
            f"network has another activation; expected --model={other}."
        )
    _check_answers(str(file), network, read.variables, data["image_shape"])
    name = student or re.sub(r"[^A-Za-z0-9._-]", "_", model)
    source = {
        "file": file.name,
        "sha256": imported.sha256(file),
        "layout": read.layout,
        "digest": imported.digest(read.variables, data["normalisation"], [section]),
    }
    flags = {"key": key, "prefix": "" if prefix is None else of_file.prefix}
    source |= {flag: text for flag, text in flags.items() if text}
    meta = imported.identity(name, section, data | names, source, versions(*PACKAGES))
    with workdirs.locked(workdir):
        _save(workdir, name, read.variables, meta)
    line = {"workdir": str(workdir), "student": name, "model": model}
    return line | data | source


def _find(
    where: str, tensors: dict, prefix: str | None, section: dict, data: dict
) -> tuple[prefixes.Network, Network]:
    """The network of a `model` section in a file, and the same as functions."""

    @functools.cache
    def built(classes: int):
        with allow_code(section["name"]):
            network = build_network("--model", section, classes)
        count_classes("--image_shape", network, data["image_shape"])
        images = jax.ShapeDtypeStruct((1, *data["image_shape"]), jnp.float32)
        return network, jax.eval_shape(network.init, jax.random.key(0), images)

    def read(own: dict, classes: int) -> trees.Read:
        return trees.to_variables(where, own, built(classes)[1])

    prefixes.heads(where, tensors)  # before a network is built
    of_file = prefixes.find(where, tensors, prefix, read)
    if of_file.others:
        text = f"kdjax import: took what lies below {of_file.prefix!r}"
        say(f"{text}, and left {of_file.others} other tensors", sys.stderr)
    return of_file, built(of_file.classes)[0]


def _check_answers(where: str, network: Network, variables, image_shape) -> None:
    """Asks the network once: sound weights may be too large for its activations."""
    noise = np.random.default_rng(0).normal(size=(1, *image_shape))
    answer = jax.jit(lambda pair, images: network.evaluate(*pair, images).logits)
    logits = np.asarray(answer(variables, noise.astype(np.float32)), np.float32)
    if not np.isfinite(logits).all():
        raise InputError(
            f"{where}: its network does not answer with finite logits; expected "
            f"weights that do. The largest is {_largest(variables):g}."
        )


def _largest(variables) -> float:
    return max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(variables))


def _images(image_shape, mean, std) -> dict:
    """Shape and normalisation of the images, checked."""
    if len(image_shape) != 3 or min(image_shape) < 1:
        text = f"--image_shape is {image_shape}; expected HEIGHT,WIDTH,CHANNELS."
        raise InputError(text)
    for flag, numbers in (("mean", mean), ("std", std)):
        if not np.isfinite(numbers).all():
            raise InputError(f"--{flag} is {numbers}; expected finite numbers.")
    try:
        Augment(mean=mean, std=std, padding=0, flip=False)
    except ValueError as error:
        raise InputError(f"--mean, --std: {error}") from error
    channels = image_shape[2]
    if len(mean) != channels:
        raise InputError(
            f"--mean has {len(mean)} number(s); expected {channels}, as --image_shape."
        )
    normalisation = {"mean": list(mean), "std": list(std)}
    return {"image_shape": list(image_shape), "normalisation": normalisation}


def _class_names(
    file: pathlib.Path, record: dict, option: str, classes: int
) -> dict[str, list[str]]:
    """Those of --classes, else of the record in the file; {} where both have none."""
    if option:
        return {"class_names": _names_of_option(option, classes)}
    names = record.get("class_names") or []
    is_right = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_right or len(names) not in (0, classes):
        raise InputError(
            f"{file} says of itself that its class_names are {str(names)[:80]}; "
            f"expected {classes} names, as the weights have classes, or --classes."
        )
    if not names or are_numbers(names):
        return {}
    say("kdjax import: the file names its classes; they are kept", sys.stderr)
    return {"class_names": names}


def _names_of_option(file: str, classes: int) -> list[str]:
    names = read_names("--classes", file)
    if len(names) != classes:
        raise InputError(
            f"--classes: {file} names {len(names)} classes and the weights have "
            f"{classes}; expected as many."
        )
    lines = {}
    for line, name in enumerate(names, start=1):
        first = lines.setdefault(name, line)
        if first != line:
            raise InputError(
                f"--classes: {file} names {name!r} twice, in lines {first} and "
                f"{line}; expected a name of its own for each class, as the students' "
                "data set has them: ImageNet's usual list has crane and maillot twice, "
                "where its synsets, such as n02012849 and n03126707, do not repeat. "
                "Write in both lines what the students' data set calls them."
            )
    return names


def _check_origin(file: pathlib.Path, record: dict, model: str, data: dict) -> None:
    """The name of a file, and the record that `export` wrote into it, must fit."""
    # timm's networks with other pools have the names and the shapes of ours.
    other = variants.unseen([file.name, *imported.metadata(file).values()])
    if other:
        raise InputError(
            f"{file} is of {other}, and --model is {model}: it has the same tensors, "
            "and pools before its strides that no network here has. Expected other "
            "weights; what was imported before is scored by `python -m kdjax evaluate "
            "--data=imagenet2012 --split=validation`."
        )
    flags = {"model": model, "image_shape": data["image_shape"]}
    flags |= data["normalisation"]
    own = record.get("model")
    origin = record | {"model": own.get("name") if isinstance(own, dict) else own}
    different = [
        f"--{key} is {value} and there it is {origin[key]}"
        for key, value in flags.items()
        if origin.get(key) not in (None, value)
    ]
    if different:
        raise InputError(
            f"{file} says of itself what it is: {'; '.join(different)}. Expected the "
            "same; mean and standard deviation are those that it was trained with."
        )


def _save(workdir: pathlib.Path, name: str, variables, meta: dict) -> None:
    """Writes the checkpoint, unless it is there."""
    directory = workdir / CHECKPOINTS
    old, config = imported.present(directory), workdir / workdirs.CONFIG
    if config.exists() or (old is None and workdirs.is_done(workdir)):
        text = f"--workdir: {workdir} holds a run; expected a directory of its own."
        raise InputError(text)
    same = ("students", "data", "imported")
    if old is None:
        imported.save(directory, name, variables, meta)
    elif any(old.get(key) != meta[key] for key in same):
        before = _flags_of(old) if "imported" in old else {}
        changed = [
            f"{flag} was {str(before[flag])[:80]} and is {str(value)[:80]}"
            for flag, value in _flags_of(meta).items()
            if before and before[flag] != value
        ]
        raise InputError(
            f"--workdir: {workdir} holds other weights, or the same with other flags: "
            f"{'; '.join(changed) or 'they are a run'}. Use a new --workdir."
        )
    else:
        say(f"{workdir} has these weights already.", sys.stderr)
    workdirs.write_record(workdir / workdirs.IMPORTED, meta)


def _flags_of(meta: dict) -> dict:
    """What was imported, by the flag that says it."""
    (name, row), *_ = meta["students"].items()
    model, data, source = row["model"], meta["data"], meta["imported"]
    return {
        "--student": name,
        "--model": model["name"],
        "--dtype": model.get("dtype", "float32"),
        "--key": source.get("key", ""),
        "--prefix": source.get("prefix", ""),
        "--image_shape": data["image_shape"],
        **{f"--{key}": moments for key, moments in data["normalisation"].items()},
        "--classes": data.get("class_names"),
        **{f"FILE's {key}": source[key] for key in ("file", "sha256", "digest")},
    }
