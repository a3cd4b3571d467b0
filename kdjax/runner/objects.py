"""What a caller has in memory, as sections of a config: networks, teachers, data."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import InputError
from kdjax.data import arrays, npz
from kdjax.data.registry import DATASETS
from kdjax.distributed import collectives
from kdjax.experiment.data import dataset_of
from kdjax.models import PROVIDED
from kdjax.models.convert import as_network, has_weights
from kdjax.models.network import Network
from kdjax.runner.trained import Trained
from kdjax.runner.workdir import has_steps

DATA = "data.npz"  # in a run's directory: what it was given as arrays
FOLDER = "data"  # in it: what it was given as a folder of images
_TEACHERS = (
    "what kdjax.train returned, the directory of a run, (network, params, "
    "batch_stats), a trained module of flax.nnx or equinox, or a Network whose init "
    "gives its weights"
)


def network_name(what: str, network: Any, networks: dict[str, Network]) -> str:
    """The name of a network in a config; an object is put into the dict."""
    if isinstance(network, str):
        return network
    name, networks[name] = as_network(what, network)
    return PROVIDED + name


def teacher_section(teacher: Any, networks: dict[str, Network]) -> dict:
    """Of a config; a teacher in memory becomes a network that brings its weights."""
    if teacher is None:
        return {}
    if isinstance(teacher, str | pathlib.Path):
        return {"workdir": str(teacher)}
    if isinstance(teacher, Trained):
        if not teacher.is_provided:
            return {"workdir": str(teacher.workdir), "student": teacher.student}
        teacher = teacher.network, teacher.params, teacher.batch_stats
    if isinstance(teacher, Network) or has_weights(teacher):
        name, network = as_network("teacher", teacher)
    elif isinstance(teacher, tuple) and len(teacher) in (2, 3):
        if isinstance(teacher[0], str):
            raise InputError(
                f"teacher[0] is {teacher[0]!r}; expected a network, as of a name: "
                f"kdjax.models.create({teacher[0]!r}, num_classes=...)."
            )
        name, network = as_network("teacher[0]", teacher[0])
        pair = teacher[1], (teacher[2] if len(teacher) == 3 else {})
        network = network._replace(init=lambda key, images: pair)
    else:
        count = f" of {len(teacher)}" if isinstance(teacher, tuple) else ""
        raise InputError(
            f"teacher is {type(teacher).__name__}{count}; expected {_TEACHERS}."
        )
    networks[f"teacher-{name}"] = network
    return {"network": f"{PROVIDED}teacher-{name}"}


def data_section(data: Any, data_dir: str, workdir: pathlib.Path) -> dict:
    """Of a config; arrays and folders of images are kept in the run's directory."""
    if isinstance(data, str | pathlib.Path):
        folder = pathlib.Path(data)
        if str(data) not in DATASETS and folder.is_dir():
            return collectives.broadcast(lambda: _folder_section(folder, workdir))
        section = {"name": str(data), "data_dir": data_dir}
    else:
        if not isinstance(data, Mapping) or {"train", "test"} != data.keys():
            held = (
                f" of {', '.join(map(str, data))}" if isinstance(data, Mapping) else ""
            )
            raise InputError(
                f"data is {type(data).__name__}{held}; expected a name, a folder of "
                "images, or a mapping of train and test, and nothing else."
            )
        splits = arrays.splits_of({name: data[name] for name in ("train", "test")})
        collectives.broadcast(lambda: _keep(splits, workdir))
        section = {"name": DATA, "data_dir": str(workdir)}
    if dataset_of(section["name"]) not in DATASETS:
        section |= {"padding": 4, "flip": True}
    return section


def _folder_section(folder: pathlib.Path, workdir: pathlib.Path) -> dict:
    """Prepares a folder of images in the run's directory, once."""
    from kdjax.datasets import own_set
    from kdjax.datasets.folder_builder import prepare_folder

    name = re.sub(r"\W+", "_", folder.resolve().name).strip("_").lower() or "images"
    data_dir, log = workdir / FOLDER, collectives.log
    data_dir.mkdir(parents=True, exist_ok=True)
    prepared = prepare_folder(name, folder, data_dir=data_dir, log=log)
    for image, error in prepared.skipped.items():
        log(f"{image}: cannot be read, left out ({error})")
    return own_set.data_section(name, prepared.facts) | {"data_dir": str(data_dir)}


def _keep(splits: dict, workdir: pathlib.Path) -> None:
    """Writes data.npz, unless the run has begun with it already."""
    path = workdir / DATA
    if path.exists():
        kept = {name: npz.load_npz(path, name).identity for name in splits}
        sums = {name: split.identity["sha256"] for name, split in splits.items()}
        if {name: one["sha256"] for name, one in kept.items()} == sums:
            return
        if has_steps(workdir):
            raise InputError(
                f"data: {workdir} holds a run on other images or labels; expected "
                "those, or a new workdir."
            )
    workdir.mkdir(parents=True, exist_ok=True)
    npz.save_npz(path, splits)
