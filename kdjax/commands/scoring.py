"""Evaluation as the commands need it: batches, teacher's answers, compiled scorer."""

import dataclasses
import math
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from kdjax.contracts import InputError
from kdjax.data.feeds import is_stored
from kdjax.data.resident import evaluation_batches
from kdjax.data.sources import Split
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
      rows: of this process; name -> array of each batch.
      counts: how many of each batch's rows are samples, over all processes; those
        come first.
      mesh: to compute on.
    """

    rows: list[dict[str, np.ndarray]]
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
    held = math.prod(split.image.shape) // jax.process_count()
    if is_stored(split) and held > MOST_HELD:
        raise InputError(
            f"{split.identity['name']}, {split.identity['split']}: to score its "
            f"{len(split.label):,} images, {held / 2**30:.0f} GiB would be held in "
            f"memory; expected {MOST_HELD / 2**30:.0f} GiB at most. Score a slice."
        )
    rows = -(-batch_size // mesh.size) * mesh.size
    who = {"process": jax.process_index(), "processes": jax.process_count()}
    own = [
        {"image": image, "label": label, "valid": valid}
        for image, label, valid in evaluation_batches(split, rows, **who)
    ]
    left = (len(split.label) - number * rows for number in range(len(own)))
    return Batches(own, [min(rows, count) for count in left], mesh)


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
    rows = evaluation_rows(split, batch_size, mesh)
    answer = answerer(network, normalise, rows, needs_features)
    return answer(sharding.place_replicated(variables, mesh))
