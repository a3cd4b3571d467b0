"""A trained network in memory, as Python has it."""

import dataclasses
import functools
import pathlib

import jax
import numpy as np

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS, choose_step
from kdjax.experiment.pretrained import student_network
from kdjax.experiment.trials import trained_in
from kdjax.models import PROVIDED
from kdjax.models.network import Network
from kdjax.reporting.reporter import read_rows
from kdjax.runner.evaluate import normaliser
from kdjax.types import PyTree

SLICE = 256  # images at a time: their activations are what takes memory


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network of a run, with its weights on the host."""

    workdir: pathlib.Path
    student: str  # its name in the run
    network: Network
    params: PyTree
    batch_stats: PyTree
    metrics: dict[str, float]  # at this checkpoint, {} if not evaluated; top1 in %
    rows: list[dict]  # of metrics.jsonl
    data: dict  # what the run says of its data: classes, class_names, normalisation
    model: str = ""  # the name of its network in a config
    checkpoint: str = "latest"  # which one these weights are of: or best, or a step

    @property
    def is_provided(self) -> bool:
        """Whether the network was an object, and not a name."""
        return self.model.startswith(PROVIDED)

    @property
    def is_code(self) -> bool:
        """Whether the name is that of a function of the caller's."""
        return ":" in self.model and not self.is_provided

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 [n, classes] of images uint8 [n, height, width, channels].

        Of one channel they may be [n, height, width], as they are for training. They
        have the size of the run's: a network that averages its last maps would answer
        for others too, but not as well as it was scored.
        """
        images = np.asarray(images)
        if images.ndim == 3 and self.data["image_shape"][-1] == 1:
            images = images[..., None]
        shape = tuple(self.data["image_shape"])
        is_right = images.dtype == np.uint8 and images.shape[1:] == shape
        if not is_right or not len(images):
            wanted = ", ".join(map(str, ("n", *shape)))
            raise InputError(
                f"logits: images are {images.dtype} of shape {images.shape}; expected "
                f"uint8 of shape ({wanted}), n 1 or more, as the network was trained "
                "on. Resize them, or call `network.evaluate` for another size."
            )
        slices = _slices(len(images))
        weights = self.params, self.batch_stats
        logits = [np.asarray(self._forward(*weights, images[s])) for s in slices]
        return np.concatenate(logits)[: len(images)]

    @functools.cached_property
    def _forward(self):
        normalise = normaliser(self.data).evaluate

        def forward(params, batch_stats, images):
            return self.network.evaluate(params, batch_stats, normalise(images)).logits

        return jax.jit(forward)

    def __repr__(self) -> str:  # the arrays are millions of numbers
        scores = ", ".join(f"{k}={self.metrics[k]:.4g}" for k in sorted(self.metrics))
        return f"Trained({str(self.workdir)!r}, {self.student}: {scores})"


def _slices(n: int) -> list[np.ndarray]:
    """Indices of at most SLICE images at a time; the last image fills the last one up.

    All are of one size, so that one program is compiled.
    """
    size = min(n, SLICE)
    starts = range(0, n, size)
    return [np.minimum(np.arange(start, start + size), n - 1) for start in starts]


def read_trained(
    workdir: pathlib.Path, student: str = "", checkpoint: str | int = "latest"
) -> Trained:
    """A network of a run, or of a trial of a sweep, at one of its checkpoints.

    `checkpoint` is latest, best or a step.
    """
    workdir, student = trained_in(workdir, student)
    directory = workdir / CHECKPOINTS
    meta, best = checkpoints.read_meta(directory)
    names = list(meta["students"])
    name = student or names[0]
    if name not in names or (len(names) > 1 and not student):
        raise InputError(f"student is {student!r}; that run has {', '.join(names)}.")
    step = choose_step("checkpoint", checkpoint, meta["step"], best.get(name))
    section, data = meta["students"][name], meta["data"]
    network = student_network(f"{workdir.name}: {name}", section, data["classes"])
    params, batch_stats = checkpoints.read_variables(directory, step, name)
    rows = read_rows(workdir / "metrics.jsonl")
    metrics = _evaluated(rows, name, step)
    weights = network, params, batch_stats
    model = section["model"]["name"]
    rest = metrics, rows, data, model, str(checkpoint)
    return Trained(workdir, name, *weights, *rest)


def _evaluated(rows: list[dict], name: str, step: int) -> dict[str, float]:
    """The metrics at a step; {} where a run was stopped there and not evaluated."""
    start = f"eval/{name}/"
    for row in reversed(rows):
        values = {k.removeprefix(start): v for k, v in row.items() if start in k}
        if values and row["step"] == step:
            return values
    return {}
