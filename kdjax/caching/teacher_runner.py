"""Runs a teacher on the crops of any sample in any epoch."""

from collections.abc import Iterator

import jax
import numpy as np

from kdjax.caching import codec
from kdjax.caching.layout import Layout
from kdjax.caching.manifest import VIEW
from kdjax.contracts import InputError
from kdjax.data.load import Split
from kdjax.data.loaders import loader
from kdjax.data.loaders.batch import gather_batch
from kdjax.data.transforms.augment import Augment
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.evaluator import usual_rows
from kdjax.types import PyTree


def layout_of(
    network: Network,
    variables: PyTree,
    train: Split,
    *,
    dtype: str,
    top_k: int,
    features: tuple[str, ...],
) -> Layout:
    """What a cache of this teacher holds; computes nothing."""
    images = jax.ShapeDtypeStruct((1, *train.image.shape[1:]), np.float32)
    outputs = jax.eval_shape(network.evaluate, *variables, images)
    classes = outputs.logits.shape[-1]
    if not 0 <= top_k < classes:
        raise InputError(
            f"--top_k is {top_k} and the teacher has {classes} classes; expected 0, "
            f"for all of them, to {classes - 1}."
        )
    for name in features:
        if name not in outputs.features:
            names = ", ".join(outputs.features) or "none"
            text = f"--features: the teacher has no feature {name!r}; it has {names}."
            raise InputError(text)
    members = outputs.member_logits
    return Layout(
        examples=len(train.label),
        classes=classes,
        members=0 if members is None else members.shape[1],
        dtype=dtype,
        top_k=top_k,
        features={name: outputs.features[name].shape[1:] for name in features},
    )


class TeacherRunner:
    """A teacher on the devices, beside the images of its students."""

    def __init__(
        self,
        network: Network,
        variables: PyTree,
        train: Split,
        augment: Augment,
        *,
        seed: int,
        layout: Layout,
        batch_size: int,
        step_size: int | None = None,
    ):
        """Puts teacher and images on all devices.

        `train`, `augment` and `seed` make the crops, as in the run; `step_size` is the
        run's batch, needed where crops change their size. `batch_size` samples, rounded
        up to a multiple of the devices, are computed at a time; 0: as many as an
        evaluation takes.
        """
        self.mesh = sharding.make_mesh()
        usual = usual_rows(jax.default_backend(), self.mesh.size, jax.process_count())
        batch_size = batch_size or min(usual, len(train.label))
        self.batch_size = -(-batch_size // self.mesh.size) * self.mesh.size
        self.examples = len(train.label)
        sizes = {"seed": seed, "batch_size": self.batch_size}
        self._feed = loader.make_loader(train, self.mesh, **sizes)
        self._sides = loader.sides(train, seed, step_size)
        placed = sharding.place_replicated(variables, self.mesh)
        self._placed = (placed, self._feed.source)

        def run(placed, batch_spec):
            variables, source = placed
            batch = gather_batch(source, batch_spec)
            return network.evaluate(*variables, augment.train(batch, seed, VIEW))

        def encoded(placed, batch_spec):
            return codec.encode(run(placed, batch_spec), layout)

        def unrounded(placed, batch_spec):
            outputs = run(placed, batch_spec)
            arrays = {name: outputs.features[name] for name in layout.features}
            if layout.members:
                arrays["members"] = outputs.member_logits
            return arrays | {"logits": outputs.logits}

        self._encoded = sharding.compile_evaluate_step(encoded, self.mesh)
        self._unrounded = sharding.compile_evaluate_step(unrounded, self.mesh)

    def blocks(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """What is to be stored of an epoch, in the order of the samples."""
        index = np.arange(self.examples, dtype=np.int32)
        return self._blocks(self._encoded, index, np.full_like(index, epoch))

    def outputs(self, index: np.ndarray, epoch: np.ndarray) -> dict[str, np.ndarray]:
        """All logits, members and stored features of any samples, unrounded."""
        blocks = list(self._blocks(self._unrounded, index, epoch))
        return {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}

    def _blocks(self, compiled, index, epoch) -> Iterator[dict[str, np.ndarray]]:
        """In blocks of one size; the next one is computed while one is written."""
        previous = None
        for start in range(0, len(index), self.batch_size):
            here = slice(start, start + self.batch_size)
            count = len(index[here])
            fill = (0, self.batch_size - count)
            padded = [np.pad(numbers[here], fill, "edge") for numbers in (index, epoch)]
            specs = self._batch_specs(*padded)
            parts = [(compiled(self._placed, spec), rows) for spec, rows in specs]
            if previous is not None:
                yield _fetched(*previous)
            previous = (parts, count)
        if previous is not None:
            yield _fetched(*previous)

    def _batch_specs(self, index, epoch) -> Iterator[tuple[dict, np.ndarray]]:
        """On the devices, one for each size of crops, and which rows have that size."""
        if self._sides is None:
            yield self._batch_spec(index, epoch), np.ones(len(index), bool)
            return
        sides = self._sides(index, epoch)
        for side in np.unique(sides).tolist():
            yield self._batch_spec(index, epoch, side), sides == side

    def _batch_spec(self, index, epoch, *side: int) -> dict:
        """Each process decodes its own rows only, where the loader works so."""
        parts = self._feed.parts
        own = [np.split(x, parts)[jax.process_index() % parts] for x in (index, epoch)]
        batch_spec = self._feed.batch_spec_of(*own, *side)
        return sharding.place_rows(batch_spec, self.mesh, parts=parts)


def _fetched(parts: list[tuple[dict, np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """The first `count` rows on the host, in the order of the samples."""
    (first, _), *others = parts
    copy = np.array if others else np.asarray
    block = {name: copy(x) for name, x in first.items()}
    for outputs, rows in others:
        for name, x in outputs.items():
            block[name][rows] = np.asarray(x)[rows]
    return {name: x[:count] for name, x in block.items()}
