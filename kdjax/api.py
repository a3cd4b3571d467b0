"""Training and distillation from Python: what the commands do, as functions.

    import kdjax

    data = {"train": (images, labels), "test": (test_images, test_labels)}
    teacher = kdjax.train("resnet20", data, workdir="runs/teacher", epochs=60)
    student = kdjax.distill("resnet8", teacher, data, workdir="runs/student", epochs=20)
    student.metrics["top1"], student.logits(test_images)

A run lives in its directory as one of `python -m kdjax train` does: the same call
resumes what was stopped and returns what is finished; `evaluate`, `report` and `export`
read it. Errors are exceptions: `kdjax.contracts.InputError` (a ValueError) for what
cannot work, `Preempted` where a signal came and the state is saved.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from kdjax import checkpoints, paths
from kdjax.contracts import InputError
from kdjax.data import arrays, npz
from kdjax.data.registry import DATASETS
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.experiment.data import dataset_of
from kdjax.experiment.networks import CHECKPOINTS, choose_step
from kdjax.experiment.overrides import set_override
from kdjax.experiment.pretrained import student_network
from kdjax.models import PROVIDED, provided
from kdjax.models.network import Network, from_linen
from kdjax.reporting.reporter import read_rows
from kdjax.runner import evaluate as scoring
from kdjax.runner import run
from kdjax.runner.workdir import has_steps
from kdjax.types import PyTree

DATA = "data.npz"  # in a run's directory: what it was given as arrays
KD = {"name": "kd", "alpha": 0.9, "temperature": 4.0}


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network of a run, with its weights on the host."""

    workdir: pathlib.Path
    student: str  # its name in the run
    network: Network
    params: PyTree
    batch_stats: PyTree
    metrics: dict[str, float]  # of the evaluation at this checkpoint; top1 in percent
    rows: list[dict]  # of metrics.jsonl
    data: dict  # what the run says of its data: classes, class_names, normalisation
    is_provided: bool = False  # whether the network was an object, and not a name

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 [n, classes] of images uint8 [n, height, width, channels]."""
        return np.asarray(self._forward(self.params, self.batch_stats, images))

    @functools.cached_property
    def _forward(self):
        normalise = scoring.normaliser(self.data).evaluate

        def forward(params, batch_stats, images):
            return self.network.evaluate(params, batch_stats, normalise(images)).logits

        return jax.jit(forward)


def train(network, data, *, workdir, epochs: float, **settings) -> Trained:
    """Trains a network on labels; of `distill` it takes what needs no teacher.

    >>> import tempfile
    >>> images = np.random.default_rng(0).integers(0, 255, (32, 8, 8, 3), np.uint8)
    >>> pair = images, np.arange(32) % 4
    >>> data = {"train": pair, "test": pair}
    >>> with tempfile.TemporaryDirectory() as workdir:
    ...     trained = train("resnet8", data, workdir=workdir, epochs=1, batch_size=16)
    ...     trained.logits(images).shape
    (32, 4)
    """
    settings = {"method": "ce"} | settings
    return distill(network, None, data, workdir=workdir, epochs=epochs, **settings)


def distill(
    student,
    teacher,
    data,
    *,
    workdir: str | pathlib.Path,
    epochs: float,
    method: str | Mapping = KD,
    batch_size: int = 128,
    learning_rate: float = 0.1,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
) -> Trained:
    """Trains a student with a teacher, on the devices that JAX has here.

    Args:
      student: a name of `kdjax.models.MODELS`, a Flax module, or a `Network`.
      teacher: what `train` or `load` returned; the directory of a run; (network,
        params, batch_stats) of a Flax module or a `Network`; None without one.
      data: the name of a TFDS set or an .npz file; or {"train": ..., "test": ...} of
        (images, labels) or of what gives (image, label): see `kdjax.data.arrays`.
        Arrays are kept in the run's directory, as data.npz.
      method: its name, or {"name": ..., and its arguments}: docs/methods.md.
      config: any other key, dotted -> value, as {"optimizer.weight_decay": 1e-4}:
        docs/config.md. Images of your own are cropped and flipped at random unless
        "data.padding" and "data.flip" say otherwise.

    Raises:
      InputError: what cannot work. NonFinite: the loss was not finite for long.
      Preempted: a signal came, or another host was lost; the same call goes on.
    """
    workdir = paths.resolve(workdir, "workdir")
    base, networks = schema.base(), {}
    base.model = ConfigDict({"name": _named("student", student, networks)})
    named = {"name": method} if isinstance(method, str) else dict(method)
    base.method = ConfigDict(named)
    base.batch_size, base.total_epochs, base.seed = batch_size, float(epochs), seed
    base.schedule.learning_rate = float(learning_rate)
    base.data.update(_data_section(data, workdir))
    base.teacher.update(_teacher_section(teacher, networks))
    for key, value in (config or {}).items():
        text = value if isinstance(value, str) else repr(value)
        set_override(base, key.removeprefix("config."), text)
    with provided(networks):
        run.run(base, workdir)
    return load(workdir, network=student)


def load(
    workdir: str | pathlib.Path,
    *,
    network=None,
    student: str = "",
    checkpoint: str | int = "latest",
) -> Trained:
    """A network of a run, at its latest or best checkpoint or a step.

    `network` is the object that the run was given, where it was no name; `student` says
    which one, where the run has several.
    """
    workdir = paths.resolve(workdir, "workdir")
    directory = workdir / CHECKPOINTS
    meta, best = checkpoints.read_meta(directory)
    names = list(meta["students"])
    name = student or names[0]
    if name not in names or (len(names) > 1 and not student):
        raise InputError(f"student is {student!r}; that run has {', '.join(names)}.")
    step = choose_step("checkpoint", checkpoint, meta["step"], best.get(name))
    objects = {}
    if network is not None:
        _named("network", network, objects)
    with provided(objects):
        section, data = meta["students"][name], meta["data"]
        own = student_network(f"{workdir.name}: {name}", section, data["classes"])
    params, batch_stats = checkpoints.read_variables(directory, step, name)
    rows = read_rows(workdir / "metrics.jsonl")
    metrics = _evaluated(rows, name, step)
    is_provided = section["model"]["name"].startswith(PROVIDED)
    weights = own, params, batch_stats
    return Trained(workdir, name, *weights, metrics, rows, data, is_provided)


def evaluate(
    workdir: str | pathlib.Path, *, split: str = "", network=None, **which
) -> dict[str, dict[str, float]]:
    """Student -> metrics on the run's test split, or on another split of its set.

    `which` is of `python -m kdjax evaluate`: checkpoint, student, weights.
    """
    objects = {}
    if network is not None:
        _named("network", network, objects)
    request = scoring.SplitRequest(split=split)
    workdir = paths.resolve(workdir, "workdir")
    with provided(objects):
        return scoring.evaluate(workdir, request, **which)["students"]


def _named(what: str, network: Any, networks: dict[str, Network]) -> str:
    """The name of a network in a config; an object is put into the dict."""
    if isinstance(network, str):
        return network
    if isinstance(network, Network):
        name = "network"
    elif hasattr(network, "lazy_init"):  # what Linen's modules have, and no others
        # A module of other sizes is another network, and its run another run.
        text = hashlib.sha256(repr(network).encode()).hexdigest()[:8]
        name = f"{type(network).__name__}-{text}"
        network = from_linen(network)
    else:
        raise InputError(
            f"{what} is {type(network).__name__}; expected a name of "
            "kdjax.models.MODELS, a flax.linen module or a Network."
        )
    networks[name] = network
    return PROVIDED + name


def _teacher_section(teacher: Any, networks: dict[str, Network]) -> dict:
    """Of a config; a teacher in memory becomes a network that brings its weights."""
    if teacher is None:
        return {}
    if isinstance(teacher, str | pathlib.Path):
        return {"workdir": str(teacher)}
    if isinstance(teacher, Trained):
        if not teacher.is_provided:
            return {"workdir": str(teacher.workdir), "student": teacher.student}
        teacher = teacher.network, teacher.params, teacher.batch_stats
    if not isinstance(teacher, tuple) or isinstance(teacher, Network):
        raise InputError(
            f"teacher is {type(teacher).__name__}; expected what kdjax.train returned, "
            "the directory of a run, or (network, params, batch_stats)."
        )
    network, *variables = teacher
    if len(variables) == 1:
        variables.append({})
    own: dict[str, Network] = {}
    _named("teacher", network, own)
    (name, network), *_ = own.items() or ((None, None),)
    if network is None or len(variables) != 2:
        raise InputError(
            f"teacher is a tuple of {len(teacher)}; expected (network, params, "
            "batch_stats), the network a flax.linen module or a Network."
        )
    pair = tuple(variables)
    networks[f"teacher-{name}"] = network._replace(init=lambda key, images: pair)
    return {"network": f"{PROVIDED}teacher-{name}"}


def _data_section(data: Any, workdir: pathlib.Path) -> dict:
    """Of a config; arrays are written into the run's directory."""
    if isinstance(data, str | pathlib.Path):
        section = {"name": str(data)}
    else:
        if not isinstance(data, Mapping) or not {"train", "test"} <= data.keys():
            raise InputError(
                f"data is {type(data).__name__}; expected a name, or a mapping with "
                "train and test."
            )
        splits = arrays.splits_of({name: data[name] for name in ("train", "test")})
        collectives.broadcast(lambda: _keep(splits, workdir))
        section = {"name": DATA, "data_dir": str(workdir)}
    if dataset_of(section["name"]) not in DATASETS:
        section |= {"padding": 4, "flip": True}
    return section


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


def _evaluated(rows: list[dict], name: str, step: int) -> dict[str, float]:
    """The metrics of the last evaluation at or before a step."""
    start = f"eval/{name}/"
    for row in reversed(rows):
        values = {k.removeprefix(start): v for k, v in row.items() if start in k}
        if values and row["step"] <= step:
            return values
    return {}
