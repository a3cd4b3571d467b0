"""Files of weights: what they are, whether they can be read, and of which network."""

import contextlib
import importlib.util
import pathlib
import re
import zipfile
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.contracts import InputError
from kdjax.doctor.findings import Findings, guarded, note, ok, problem
from kdjax.models import MODELS, create
from kdjax.paths.files import local_copy
from kdjax.weights import first_bytes, imported, layouts, prefixes, torch_files, trees
from kdjax.weights.trees import Unusable

FETCH = "Fetch or export the file anew."
GIVE_MODEL = "Give `import` its name as --model; it says what does not fit."
VARIANCES = ("running_var", "var")


def is_weights(path: pathlib.Path) -> bool:
    return path.name.endswith((imported.SAFETENSORS, *torch_files.SUFFIXES))


def examine_weights(path: pathlib.Path, quick: bool) -> Findings:
    with local_copy(path) as copy:
        yield from guarded(path, FETCH, _examine, path, copy, quick)


def _examine(path: pathlib.Path, copy: pathlib.Path, quick: bool) -> Findings:
    if copy.suffix == imported.SAFETENSORS:
        sets = {"": imported.read(copy)}
    else:
        first_bytes.check_weights(copy, is_safetensors=False)
        if not _has_torch():
            yield from _without_torch(path, copy)
            return
        sets = torch_files.read_each(copy)
    record = imported.origin(copy)
    for key, tensors in sets.items():
        where = f"{path} {key}" if key else str(path)
        yield from _tensors(where, tensors)
        if not quick:
            yield from guarded(where, GIVE_MODEL, _network, where, tensors, record)


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _without_torch(path: pathlib.Path, copy: pathlib.Path) -> Findings:
    """The container alone: its checksums, if it has some. Nothing is unpickled."""
    torch_files.check_sums(copy)
    with copy.open("rb") as file:
        is_pickle = file.read(1) == b"\x80"
    if zipfile.is_zipfile(copy):
        text = "has all its parts, each as it was written"
        yield note(path, text, "Install torch to look at the tensors.")
    elif is_pickle:
        text = "is of PyTorch before 1.6, which has no checksums"
        yield note(path, text, "Install torch to look further.")
    else:
        yield problem(path, "is neither a file of PyTorch nor whole", FETCH)


def _tensors(where: str, tensors: Mapping[str, np.ndarray | Unusable]) -> Findings:
    without = [n for n, x in tensors.items() if isinstance(x, Unusable)]
    if without:
        text = f"{len(without)} tensors were not looked at; first {without[0]}, which"
        yield note(where, f"{text} {tensors[without[0]].reason}", GIVE_MODEL)
    weights = {
        name: x
        for name, x in tensors.items()
        if name.split(".")[-1] != layouts.COUNTER and name not in without
    }
    types = sorted({str(x.dtype) for x in weights.values()})
    odd = [name for name, x in weights.items() if x.dtype.kind not in "fV"]
    if odd:
        text = f"{len(odd)} tensors are no floating point numbers, first {odd[0]}"
        yield problem(
            where, f"{text}, {weights[odd[0]].dtype}", "Export it in float32."
        )
    floats = {n: x.astype(np.float32) for n, x in weights.items() if n not in odd}
    bad = [name for name, x in floats.items() if not np.isfinite(x).all()]
    if bad:
        text = f"{len(bad)} tensors hold NaN or infinity, first {bad[0]}"
        yield problem(where, text, "They are of a training that diverged: use others.")
    negative = [
        name
        for name, x in floats.items()
        if name.split(".")[-1] in VARIANCES and x.min(initial=0.0) < 0
    ]
    if negative:
        text = f"{len(negative)} variances are below 0, first {negative[0]}"
        yield problem(where, text, FETCH)
    count = sum(x.size for x in weights.values())
    text = f"{len(weights)} tensors of {', '.join(types)}, {count:,} numbers"
    if weights and not (odd or bad or negative):
        yield ok(where, f"{text}, all finite")


def _network(where: str, tensors: Mapping, record: dict) -> Findings:
    """Which networks of `kdjax.models` lie in a file, below any prefix."""
    model = record.get("model")
    own = model.get("name") if isinstance(model, dict) else None
    # Names and shapes say what it is, whatever the numbers are; this takes no memory.
    empty = {n: np.broadcast_to(np.float32(), np.shape(x)) for n, x in tensors.items()}
    matches = []

    def read(below: Mapping, classes: int) -> trees.Read:
        names = [own] if own in MODELS else _of_as_many_convolutions(below)
        reads = {name: _fits(where, name, classes, below) for name in names}
        fitting = [name for name, one in reads.items() if one is not None]
        if not fitting:
            raise InputError(f"{where}: these are the tensors of no network here.")
        matches.append((tuple(fitting), classes))
        return reads[fitting[0]]

    # It raises where there is none, and where several differ: all are in `matches`.
    with contextlib.suppress(InputError):
        prefixes.find(where, empty, None, read)
    for names, classes in dict.fromkeys(matches):
        text = f"has the tensors of {' and '.join(names)}, with {classes} classes"
        yield ok(where, text)
    if not matches and own and own not in MODELS:  # a sum of them is in the metadata
        yield ok(
            where, f"has the tensors of {own}, unchanged since `export` wrote them"
        )
    elif not matches:
        yield note(where, "has the tensors of no network here", GIVE_MODEL)


def _of_as_many_convolutions(tensors: Mapping) -> list[str]:
    """Networks that may fit: tracing all of them takes long.

    The depth in a name counts layers: a ResNet's classifier, the three that a Wide
    ResNet or a VGG has in the paper beside its convolutions here.
    """
    kernels = {n: np.shape(x) for n, x in tensors.items() if np.ndim(x) == 4}
    plain = [n for n in kernels if not re.search(r"shortcut|downsample", n, re.I)]
    if sum(map(_is_depthwise, kernels.values())) > 2:
        return [n for n in MODELS if n.startswith(("mobilenet", "shufflenet"))]
    extra = {"resnet": 1, "wrn_": 3, "vgg": 3}
    return [
        name
        for name in MODELS
        for family, more in extra.items()
        if name.startswith(family)
        and int(re.search(r"\d+", name).group()) == len(plain) + more
    ]


def _is_depthwise(shape: tuple[int, ...]) -> bool:
    """Of a kernel as PyTorch has it, or as it is here."""
    return (shape[1] == 1 < shape[2]) or (shape[2] == 1 < shape[0] == shape[1] <= 7)


def _fits(where: str, name: str, classes: int, tensors: Mapping) -> trees.Read | None:
    """These tensors as a network of colour or grey images; computes none."""
    network = create(name, num_classes=classes)
    for channels in (3, 1):
        images = jax.ShapeDtypeStruct((1, 32, 32, channels), jnp.float32)
        wanted = jax.eval_shape(network.init, jax.random.key(0), images)
        with contextlib.suppress(InputError):
            return trees.to_variables(where, tensors, wanted)
    return None
