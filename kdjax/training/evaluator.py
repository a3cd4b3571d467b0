"""Networks on a whole split: scored, or asked for their outputs; compiled once."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from kdjax.contracts import InputError
from kdjax.data.load import Split
from kdjax.data.loaders.batch import evaluation_batches
from kdjax.data.loaders.loader import is_streamed
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.metrics import evaluate, in_flight, sums
from kdjax.types import PyTree

MOST_HELD = 16 << 30  # bytes; the 50,000 test images of ImageNet are 7 GiB


@dataclasses.dataclass(frozen=True)
class Batches:
    """A split as padded batches, of which each process holds its own rows.

    Samples are a batch's first rows, and padding the others.
    """

    rows: Iterable[dict[str, np.ndarray]]  # of this process; may be iterated again
    counts: list[int]  # how many rows of each batch are samples, over all processes
    mesh: Mesh  # to compute on

    def placed(self) -> Iterator[dict[str, jax.Array]]:
        """Each batch on the devices, whole."""
        for batch in self.rows:
            yield sharding.place_rows(batch, self.mesh, parts=jax.process_count())

    def own(self, whole: np.ndarray) -> np.ndarray:
        """This process's part of an array with a row for each row of a batch."""
        return np.split(whole, jax.process_count())[jax.process_index()]


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """This process's rows of a split's batches, made when they are asked for."""

    split: Split
    batch_size: int

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        process = {"process": jax.process_index(), "processes": jax.process_count()}
        batches = evaluation_batches(self.split, self.batch_size, **process)
        for image, label, valid in batches:
            yield {"image": image, "label": label, "valid": valid}


def evaluation_rows(split: Split, batch_size: int, mesh: Mesh) -> Batches:
    """A split as padded batches of about `batch_size` rows, divisible by the mesh.

    They are no larger than the split; of 0, they have as many rows as `usual_rows`. All
    of them are held at once: an evaluation goes through them again and again. Too many
    images of a set that stays on disk are an InputError.
    """
    held = _held(split)
    if is_streamed(split) and held > MOST_HELD:
        raise InputError(
            f"{split.identity['name']}, {split.identity['split']}: to score its "
            f"{len(split.label):,} images, {held / 2**30:.0f} GiB would be held in "
            f"memory; expected {MOST_HELD / 2**30:.0f} GiB at most. Score a slice."
        )
    batches = _batches(split, batch_size, mesh)
    return dataclasses.replace(batches, rows=list(batches.rows))


def passing_rows(split: Split, batch_size: int, mesh) -> Batches:
    """The same for a single pass: what is too much to be held is decoded on the way."""
    if is_streamed(split) and _held(split) > MOST_HELD:
        return _batches(split, batch_size, mesh)
    return evaluation_rows(split, batch_size, mesh)


def _batches(split: Split, batch_size: int, mesh) -> Batches:
    platform = mesh.devices.flat[0].platform
    usual = usual_rows(platform, mesh.size, jax.process_count())
    batch_size = min(batch_size or usual, max(1, len(split.label)))
    rows = -(-batch_size // mesh.size) * mesh.size
    starts = range(0, len(split.label), rows)
    counts = [min(rows, len(split.label) - start) for start in starts]
    return Batches(_Decoded(split, rows), counts, mesh)


def usual_rows(platform: str, devices: int, processes: int) -> int:
    """Rows of a batch: 250 of an accelerator, or 500 of a process on CPUs.

    The devices of a CPU share its memory. Both divide the test sets of CIFAR and
    ImageNet.
    """
    return 500 * processes if platform == "cpu" else 250 * devices


def _held(split: Split) -> int:
    """Bytes of its images in this process's memory."""
    return math.prod(split.image.shape) // jax.process_count()


def predictions(
    network: Network, variables: PyTree, normalise: Callable, batches: Batches
) -> Iterator[np.ndarray]:
    """A network's logits on every batch, padding included."""

    def predict(variables, batch):
        return network.evaluate(*variables, normalise(batch["image"])).logits

    compiled = sharding.compile_evaluate_step(predict, batches.mesh)
    logits = in_flight(compiled(variables, placed) for placed in batches.placed())
    yield from map(np.asarray, logits)


def add_teacher(
    network: Network, variables: PyTree, normalise: Callable, batches: Batches
) -> None:
    """Adds "teacher_logits" to every batch: computed once, compared with ever after."""
    every = list(predictions(network, variables, normalise, batches))
    for batch, logits in zip(batches.rows, every, strict=True):
        batch["teacher_logits"] = batches.own(logits)


def scorer(
    networks: dict[str, Network], normalise: Callable, batches: Batches
) -> Callable[[PyTree], dict[str, dict[str, float]]]:
    """Builds {name: variables} -> {name: metrics}, compiled once.

    With "teacher_logits" in the batches, the comparisons with the teacher as well.
    """

    def step(variables, batch):
        images = normalise(batch["image"])
        rest = (batch["label"], batch["valid"], batch.get("teacher_logits"))
        return {
            name: sums(network.evaluate(*variables[name], images).logits, *rest)
            for name, network in networks.items()
        }

    compiled = sharding.compile_evaluate_step(step, batches.mesh)
    return lambda variables: evaluate(compiled, variables, batches.placed())


def answerer(
    network: Network, normalise: Callable, batches: Batches, needs_features: bool = True
) -> Callable[[PyTree], dict[str, np.ndarray]]:
    """Builds variables -> {"logits", "features"} of every sample, compiled once.

    Of several networks each one's own: [n, networks, classes] and [n, networks, d].
    A network without a feature "pooled" gives logits alone, if `needs_features` is not
    set; else it is an InputError.
    """

    def step(variables, batch):
        outputs = network.evaluate(*variables, normalise(batch["image"]))
        members = outputs.member_logits
        arrays = {"logits": outputs.logits if members is None else members}
        if "pooled" in outputs.features:
            arrays["features"] = outputs.features["pooled"]
        return arrays

    compiled = sharding.compile_evaluate_step(step, batches.mesh)

    def answer(variables):
        outputs = in_flight(compiled(variables, placed) for placed in batches.placed())
        parts = [
            {name: np.asarray(x)[:count] for name, x in arrays.items()}
            for arrays, count in zip(outputs, batches.counts, strict=True)
        ]
        if needs_features and "features" not in parts[0]:
            raise InputError(
                "evaluate: the network has no feature 'pooled', which this looks at. "
                "Name the layer before the last: "
                "from_linen(module, features={'pooled': PATH})."
            )
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    return answer


def answers(
    network: Network,
    variables: PyTree,
    normalise: Callable,
    split: Split,
    batch_size: int = 0,
    needs_features: bool = True,
) -> dict[str, np.ndarray]:
    """The outputs on a split, in order, of a network on the host; see `answerer`."""
    mesh = sharding.make_mesh()
    rows = passing_rows(split, batch_size, mesh)
    answer = answerer(network, normalise, rows, needs_features)
    return answer(sharding.place_replicated(variables, mesh))
