"""The train step: a tuple of students against one teacher forward. Pure, not jitted."""

import dataclasses
from collections.abc import Callable

import jax

from kdjax.models.network import Network
from kdjax.training import stack
from kdjax.training.state import Student, TrainState
from kdjax.training.update import update_student
from kdjax.types import Batch, PyTree

Metrics = dict[str, dict[str, jax.Array]]


@dataclasses.dataclass(frozen=True, eq=False)
class TrainStep:
    """`step(states, teacher_variables, source, ticket) -> (states, metrics)`.

    Attributes:
      parts: students that are updated together; the states of several are stacked.
      packed: the same step on packed states, for a loop that packs them once.
    """

    parts: list[dict[str, Student]]
    packed: Callable[..., tuple[stack.Packed, Metrics]]

    def __call__(
        self, states: dict[str, TrainState], teacher_variables, source, batch_spec
    ) -> tuple[dict[str, TrainState], Metrics]:
        packed = self.pack(states)
        packed, metrics = self.packed(packed, teacher_variables, source, batch_spec)
        return self.unpack(packed), metrics

    def pack(self, states: dict[str, TrainState]) -> stack.Packed:
        return stack.pack(self.parts, states)

    def unpack(self, packed: stack.Packed) -> dict[str, TrainState]:
        return stack.unpack(self.parts, packed)


def make_train_step(
    students: dict[str, Student],
    teacher: Network | None,
    gather_batch: Callable[[PyTree, PyTree], Batch],
    augment: Callable[[Batch, int], jax.Array],
    *,
    stacked: bool = False,
) -> TrainStep:
    """Builds the step.

    Data, augmentation and teacher are computed once and shared by all students, so a
    grid of students is one program.

    Args:
      students: name -> functions. A single student is a dict of one.
      teacher: only its `evaluate` is used; None where no method needs one, and where
        `materialise` gives its answers as `Batch.taught`.
      materialise: (source, ticket) -> Batch; the feed's pure half.
      augment: (Batch, view) -> normalised images; another view is another crop.
      stacked: whether students of one network share its forward and backward in the
        program. States and metrics are the same, numbers to the rounding of float32.
        In a loop XLA's CPU backend does not use its fast convolutions: four WRN-16-2
        take 2.65 s a student and step instead of 0.61 s (jax 0.10, 2 cores, batch 128).
    """
    crops_twice = any(s.method.mixture is not None for s in students.values())
    alone = [{name: student} for name, student in students.items()]
    parts = stack.alike(students) if stacked else alone

    def packed_step(packed, teacher_variables, source, batch_spec):
        batch = gather_batch(source, batch_spec)
        second = augment(batch, 1) if crops_twice else None
        batch = batch._replace(image=augment(batch, 0), second=second)
        teacher_outputs = batch.teacher_outputs
        if teacher_outputs is None and teacher is not None:
            teacher_outputs = teacher.evaluate(*teacher_variables, batch.image)
        teacher_outputs = jax.lax.stop_gradient(teacher_outputs)
        after, metrics = [], {}
        for part, held in zip(parts, packed, strict=True):
            update = stack.update_stacked if len(part) > 1 else _update_one
            held, told = update(part, held, teacher_outputs, batch)
            after.append(held)
            metrics |= told
        return after, metrics

    return TrainStep(parts, packed_step)


def _update_one(
    part: dict[str, Student], state: TrainState, teacher_outputs, batch: Batch
):
    ((name, student),) = part.items()
    sample_info = batch.sample_info.get(name, {})
    state, told = update_student(student, state, teacher_outputs, batch, sample_info)
    return state, {name: told}
