"""The teacher itself, asked about the crops of any sample in any epoch."""

from collections.abc import Iterator

import jax
import numpy as np

from kdjax.caching import codec
from kdjax.caching.layout import Layout
from kdjax.caching.manifest import VIEW
from kdjax.contracts import InputError
from kdjax.data.load import Split
from kdjax.data.loaders import in_memory, loader
from kdjax.data.transforms.augment import Augment
from kdjax.models.network import Network
from kdjax.training import sharding
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
    """What a cache of this teacher holds; computes nothing.

    Raises:
      InputError: the teacher has no such feature, or fewer classes than `top_k`.
    """
    images = jax.ShapeDtypeStruct((1, *train.image.shape[1:]), np.float32)
    said = jax.eval_shape(network.evaluate, *variables, images)
    classes = said.logits.shape[-1]
    if not 0 <= top_k < classes:
        raise InputError(
            f"--top_k is {top_k} and the teacher has {classes} classes; expected 0, "
            f"for all of them, to {classes - 1}."
        )
    for name in features:
        if name not in said.features:
            known = ", ".join(said.features) or "none"
            raise InputError(
                f"--features: the teacher has no feature {name!r}; it has {known}."
            )
    members = said.features.get("members")
    return Layout(
        examples=len(train.label),
        classes=classes,
        members=0 if members is None else members.shape[1],
        dtype=dtype,
        top_k=top_k,
        features={name: said.features[name].shape[1:] for name in features},
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

        Args:
          network: the teacher.
          variables: its weights and statistics.
          train: the images.
          augment: makes crops of them.
          seed: of the run; draws the crops.
          layout: what is to be stored of an answer.
          batch_size: rows at a time, rounded up to a multiple of the devices.
          step_size: samples of a step of the run; needed where crops change their size.
        """
        self.mesh = sharding.make_mesh()
        self.batch_size = -(-batch_size // self.mesh.size) * self.mesh.size
        self.examples = len(train.label)
        feed = loader.make_loader(train, self.mesh, seed=seed, batch_size=self.batch_size)
        self._feed = feed
        self._sides = loader.sides(train, seed, step_size)
        placed = sharding.place_replicated(variables, self.mesh)
        self._held = (placed, feed.source)

        def ask(held, batch_spec):
            variables, source = held
            batch = in_memory.gather_batch(source, batch_spec)
            images = augment.train(batch, seed, VIEW)
            return network.evaluate(*variables, images)

        def encoded(held, batch_spec):
            return codec.encode(ask(held, batch_spec), layout)

        def whole(held, batch_spec):
            said = ask(held, batch_spec)
            names = ["members"] * bool(layout.members) + list(layout.features)
            kept = {name: said.features[name] for name in names}
            return kept | {"logits": said.logits}

        self._encoded = sharding.compile_evaluate_step(encoded, self.mesh)
        self._whole = sharding.compile_evaluate_step(whole, self.mesh)

    def blocks(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """What is to be stored of an epoch, in the order of the samples."""
        index = np.arange(self.examples, dtype=np.int32)
        return self._answers(self._encoded, index, np.full_like(index, epoch))

    def answers(self, index: np.ndarray, epoch: np.ndarray) -> dict[str, np.ndarray]:
        """All logits, members and stored features of any samples, unrounded."""
        found = list(self._answers(self._whole, index, epoch))
        return {name: np.concatenate([row[name] for row in found]) for name in found[0]}

    def _answers(self, compiled, index, epoch) -> Iterator[dict[str, np.ndarray]]:
        """In blocks of one size; the next one is computed while one is written."""
        before = None
        for start in range(0, len(index), self.batch_size):
            here = slice(start, start + self.batch_size)
            count = len(index[here])
            fill = (0, self.batch_size - count)
            padded = [np.pad(numbers[here], fill, "edge") for numbers in (index, epoch)]
            found = [
                (compiled(self._held, placed), rows)
                for placed, rows in self._tickets(*padded)
            ]
            if before is not None:
                yield _fetched(*before)
            before = (found, count)
        if before is not None:
            yield _fetched(*before)

    def _own(self, numbers: np.ndarray) -> np.ndarray:
        """Those that this process makes a ticket of; pictures are decoded once."""
        parts = self._feed.parts
        return numbers if parts == 1 else np.split(numbers, parts)[jax.process_index()]

    def _tickets(self, index, epoch) -> Iterator[tuple[dict, np.ndarray]]:
        """Tickets, placed, and which of their rows count: all, but where sizes mix."""
        if self._sides is None:
            yield self._placed(index, epoch), np.ones(len(index), bool)
            return
        sides = self._sides(index, epoch)
        for side in np.unique(sides).tolist():
            yield self._placed(index, epoch, side), sides == side

    def _placed(self, index, epoch, *side: int) -> dict:
        batch_spec = self._feed.batch_spec_of(self._own(index), self._own(epoch), *side)
        return sharding.place_rows(batch_spec, self.mesh, parts=self._feed.parts)


def _fetched(found: list[tuple[dict, np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """The rows that count of each ticket's answers, in the order of the samples."""
    (first, _), *others = found
    copy = np.array if others else np.asarray
    told = {name: copy(x) for name, x in first.items()}
    for said, rows in others:
        for name, x in said.items():
            told[name][rows] = np.asarray(x)[rows]
    return {name: x[:count] for name, x in told.items()}
