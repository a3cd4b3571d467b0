"""Evaluation as the commands need it: batches, teacher's answers, compiled scorer."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from kdjax.contracts import InputError
from kdjax.data.load import Split
from kdjax.data.loaders.in_memory import evaluation_batches
from kdjax.data.loaders.loader import is_streamed
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.evaluate import (
    evaluate,
    make_answer_step,
    make_evaluate_step,
    make_predict_step,
)
from kdjax.types import PyTree

MOST_HELD = 16 << 30  # bytes; the 50,000 test images of ImageNet are 7 GiB


@dataclasses.dataclass(frozen=True)
class Batches:
    """A split as padded batches, of which each process holds its own rows.

    Attributes:
      rows: of this process; name -> array of each batch. They may be gone through
        again and again.
      counts: how many of each batch's rows are samples, over all processes; those
        come first.
      mesh: to compute on.
    """

    rows: Iterable[dict[str, np.ndarray]]
    counts: list[int]
    mesh: Mesh

    def placed(self) -> Iterator[dict[str, jax.Array]]:
        """Each batch on the devices, whole."""
        for batch in self.rows:
            yield sharding.place_rows(batch, self.mesh, parts=jax.process_count())

    def own(self, whole: np.ndarray) -> np.ndarray:
        """This process's part of an array with a row for each row of a batch."""
        return np.split(whole, jax.process_count())[jax.process_index()]


def evaluation_rows(split: Split, batch_size: int, mesh) -> Batches:
    """A split as padded batches of about `batch_size` rows, divisible by the mesh.

    All of them are held at once: an evaluation goes through them again and again.

    Raises:
      InputError: that is too much, which it can be of pictures that stay on disk.
    """
    if _is_too_much(split):
        held = _held(split)
        raise InputError(
            f"{split.identity['name']}, {split.identity['split']}: to score its "
            f"{len(split.label):,} images, {held / 2**30:.0f} GiB would be held in "
            f"memory; expected {MOST_HELD / 2**30:.0f} GiB at most. Score a slice."
        )
    decoded = _batches(split, batch_size, mesh)
    return dataclasses.replace(decoded, rows=list(decoded.rows))


def passing_rows(split: Split, batch_size: int, mesh) -> Batches:
    """The same for whoever asks a network once: what is too much to be held is decoded
    while it is gone through, each time anew."""
    if _is_too_much(split):
        return _batches(split, batch_size, mesh)
    return evaluation_rows(split, batch_size, mesh)


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """This process's rows of a split's batches, made when they are asked for."""

    split: Split
    batch_size: int

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        who = {"process": jax.process_index(), "processes": jax.process_count()}
        batches = evaluation_batches(self.split, self.batch_size, **who)
        for image, label, valid in batches:
            yield {"image": image, "label": label, "valid": valid}


def _batches(split: Split, batch_size: int, mesh) -> Batches:
    rows = -(-batch_size // mesh.size) * mesh.size
    starts = range(0, len(split.label), rows)
    counts = [min(rows, len(split.label) - start) for start in starts]
    return Batches(_Decoded(split, rows), counts, mesh)


def _held(split: Split) -> int:
    """Bytes of its pictures in this process's memory."""
    return math.prod(split.image.shape) // jax.process_count()


def _is_too_much(split: Split) -> bool:
    return is_streamed(split) and _held(split) > MOST_HELD


def predictions(
    network: Network, variables: PyTree, normalise: Callable, batches: Batches
) -> Iterator[np.ndarray]:
    """A network's logits on every batch, padding included."""
    predict = make_predict_step(network, normalise)
    predict = sharding.compile_evaluate_step(predict, batches.mesh)
    for placed in batches.placed():
        yield np.asarray(predict(variables, placed))


def add_teacher(
    network: Network, variables: PyTree, normalise: Callable, batches: Batches
) -> None:
    """Adds "teacher_logits" to every batch: computed once, compared with ever after."""
    said = predictions(network, variables, normalise, batches)
    for batch, logits in zip(batches.rows, list(said), strict=True):
        batch["teacher_logits"] = batches.own(logits)


def scorer(
    networks: dict[str, Network], normalise: Callable, batches: Batches
) -> Callable[[PyTree], dict[str, dict[str, float]]]:
    """Builds {name: variables} -> {name: metrics}, compiled once."""
    step = make_evaluate_step(networks, normalise)
    compiled = sharding.compile_evaluate_step(step, batches.mesh)

    def score(variables):
        return evaluate(compiled, variables, batches.placed())

    return score


def answerer(
    network: Network,
    normalise: Callable,
    batches: Batches,
    needs_features: bool = True,
) -> Callable[[PyTree], dict[str, np.ndarray]]:
    """Builds variables -> {"logits", "features"} of every valid row, compiled once."""
    step = make_answer_step(network, normalise)
    compiled = sharding.compile_evaluate_step(step, batches.mesh)

    def answer(variables):
        rows = []
        for placed, count in zip(batches.placed(), batches.counts, strict=True):
            found = compiled(variables, placed)
            rows.append({name: np.asarray(x)[:count] for name, x in found.items()})
        said = {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
        if needs_features and "features" not in said:
            raise InputError(
                "evaluate: the network has no feature 'pooled', which this looks at. "
                "Name the layer before the last: "
                "from_linen(module, features={'pooled': PATH})."
            )
        return said

    return answer


def answers(
    network: Network,
    variables: PyTree,
    normalise: Callable,
    split: Split,
    batch_size: int,
    needs_features: bool = True,
) -> dict[str, np.ndarray]:
    """What a network on the host says of a split, in order; see `answerer`."""
    mesh = sharding.make_mesh()
    rows = passing_rows(split, batch_size, mesh)
    answer = answerer(network, normalise, rows, needs_features)
    return answer(sharding.place_replicated(variables, mesh))
