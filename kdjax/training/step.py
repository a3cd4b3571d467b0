"""The train step: a tuple of students against one teacher forward. Pure, not jitted."""

from collections.abc import Callable

import jax

from kdjax.models.network import Network
from kdjax.training.stack import alike, update_stacked
from kdjax.training.state import Student, TrainState
from kdjax.training.update import Updated, update_student
from kdjax.types import Batch, PyTree

Metrics = dict[str, dict[str, jax.Array]]


def make_train_step(
    students: dict[str, Student],
    teacher: Network | None,
    materialise: Callable[[PyTree, PyTree], Batch],
    augment: Callable[[Batch, int], jax.Array],
    *,
    stacked: bool = False,
) -> Callable[..., tuple[dict[str, TrainState], Metrics]]:
    """Builds `step(states, teacher_variables, source, ticket) -> (states, metrics)`.

    Data, augmentation and teacher are computed once and shared by all students, so a
    grid of students is one program.

    Args:
      students: name -> functions. A single student is a dict of one.
      teacher: only its `evaluate` is used; None where no method needs one, and where
        `materialise` gives its answers as `Batch.taught`.
      materialise: (source, ticket) -> Batch; the feed's pure half.
      augment: (Batch, view) -> normalised images; another view is another crop.
      stacked: whether students of one network share its forward and backward in the
        program; see `stacks_students`. States, metrics and numbers are the same.
    """
    crops_twice = any(s.method.mixture is not None for s in students.values())

    def train_step(states, teacher_variables, source, ticket):
        batch = materialise(source, ticket)
        second = augment(batch, 1) if crops_twice else None
        batch = batch._replace(image=augment(batch, 0), second=second)
        taught = batch.taught
        if taught is None and teacher is not None:
            taught = teacher.evaluate(*teacher_variables, batch.image)
        taught = jax.lax.stop_gradient(taught)
        parts = alike(students, states, batch) if stacked else [students]
        results = {}
        for part in parts:
            update = update_stacked if stacked and len(part) > 1 else _update_each
            results |= update(part, states, taught, batch)
        return tuple({name: results[name][i] for name in students} for i in (0, 1))

    return train_step


def _update_each(students, states, taught, batch) -> dict[str, Updated]:
    return {
        name: update_student(
            student, states[name], taught, batch, batch.notes.get(name, {})
        )
        for name, student in students.items()
    }
