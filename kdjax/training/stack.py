"""Students of one architecture, one after the other through one copy of the network.

Unrolled, a program holds forward and backward of every student, all to be compiled.
Here the network stands in the body of a loop over the students' stacked states; what
differs between them, the method, is a branch that makes gradients of answers.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import Var

from kdjax.models.network import same
from kdjax.training.objective import compute_loss
from kdjax.training.state import Student, TrainState, initial_memory
from kdjax.training.update import apply_gradients, selected
from kdjax.types import Batch, Outputs, PyTree

Packed = list[TrainState]
Judge = Callable[..., tuple[jax.Array, tuple[PyTree, dict[str, jax.Array]]]]


def alike(students: dict[str, Student]) -> list[dict[str, Student]]:
    """Parts the students into those that `update_stacked` can take together.

    They have equal networks, one optimizer, and memories of one shape. A student that
    trains several networks, or on images of its own, is alone.
    """
    parts: list[dict[str, Student]] = []
    for name, student in students.items():
        for part in parts:
            if _one_program(next(iter(part.values())), student):
                part[name] = student
                break
        else:
            parts.append({name: student})
    return parts


def pack(parts: list[dict[str, Student]], states: dict[str, TrainState]) -> Packed:
    """One state a part, stacked where it has several students."""
    return [
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *(states[n] for n in part))
        if len(part) > 1
        else states[next(iter(part))]
        for part in parts
    ]


def unpack(parts: list[dict[str, Student]], packed: Packed) -> dict[str, TrainState]:
    """Undoes `pack`."""
    return {
        name: jax.tree.map(lambda x, i=i: x[i], held) if len(part) > 1 else held
        for part, held in zip(parts, packed, strict=True)
        for i, name in enumerate(part)
    }


def update_stacked(
    students: dict[str, Student],
    states: TrainState,
    teacher_outputs: Outputs | None,
    batch: Batch,
) -> tuple[TrainState, dict[str, dict[str, jax.Array]]]:
    """`update_student` of students that are `alike`, to the rounding of float32.

    A GPU's host may wait for the number of each branch.

    Args:
      students: of one part.
      states: theirs, stacked.
      taught: by the teacher.
      batch: with `notes` of each student.

    Returns:
      The next states, stacked, and each student's metrics.
    """
    chosen = [selected(batch, batch.sample_info.get(name, {})) for name in students]
    first = jax.tree.map(lambda x: x[0], states)
    network = next(iter(students.values()))  # and optimizer: everyone's
    student_outputs = _answers(network, first, batch)
    judges = [
        _judge_of(student, teacher_outputs, batch) for student in students.values()
    ]
    traced = [_trace(each, student_outputs, first, chosen[0]) for each in judges]
    read = sorted(set().union(*(names for names, _ in traced)))
    every = {key: shape for _, told in traced for key, shape in told.items()}
    branches = [_branch(each, every) for each in judges]

    def update(_, turn):
        number, state, selection = turn

        def objective(student_outputs):
            student_outputs = Outputs(
                student_outputs.logits,
                {name: student_outputs.features[name] for name in read},
            )
            known = (
                jax.lax.stop_gradient(student_outputs),
                _without_weights(state),
                selection,
            )
            slopes, judged = jax.lax.switch(number, branches, *known)
            return _along(slopes, student_outputs), judged

        return None, apply_gradients(network, state, batch.image, objective)

    turns = jnp.arange(len(students)), states, jnp.stack(chosen)
    _, (new, metrics) = jax.lax.scan(update, None, turns)
    told = {}
    for number, (name, (_, own)) in enumerate(zip(students, traced, strict=True)):
        others = every.keys() - own.keys()
        told[name] = {k: x[number] for k, x in metrics.items() if k not in others}
    return new, told


def _along(slopes: Outputs, student_outputs: Outputs) -> jax.Array:
    """A number whose gradient in the answers is `slopes`."""
    products = jax.tree.map(
        lambda slope, x: jnp.sum(slope * x, dtype=jnp.float32), slopes, student_outputs
    )
    return sum(jax.tree.leaves(products))


def _one_program(first: Student, second: Student) -> bool:
    methods = first.method, second.method
    return (
        all(m.mixture is None and m.networks == 1 for m in methods)
        and first.optimizer is second.optimizer
        and same(first.network, second.network)
        and _shapes(first) == _shapes(second)
    )


def _shapes(student: Student):
    """Of what its method remembers; all else of a state follows from the network."""
    shapes = jax.eval_shape(lambda: initial_memory(student.method))
    leaves, structure = jax.tree.flatten(shapes)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _without_weights(state: TrainState) -> tuple[PyTree, jax.Array]:
    return state.supervision_state, state.step


def _answers(student: Student, state: TrainState, batch: Batch) -> Outputs:
    """Shapes of what the network says."""
    train = student.network.train
    return jax.eval_shape(train, state.params, state.batch_stats, batch.image)[0]


def _judge_of(student: Student, teacher_outputs: Outputs | None, batch: Batch) -> Judge:
    def judged(student_outputs, state, selection):
        known, step = state
        return compute_loss(
            student.method,
            student_outputs,
            teacher_outputs,
            batch,
            selection,
            step,
            known,
        )

    return judged


def _trace(
    judged: Judge, student_outputs: Outputs, state: TrainState, selection: jax.Array
) -> tuple[set[str], dict[str, jax.ShapeDtypeStruct]]:
    """(names of the features that a method reads, shapes of its metrics).

    The loop gives methods only the features that one of them reads: for each it makes
    a gradient, of zeros where the method in turn does not look at it.
    """
    jaxpr, (_, (_, told)) = jax.make_jaxpr(judged, return_shape=True)(
        student_outputs, _without_weights(state), selection
    )
    used = [x for equation in jaxpr.eqns for x in equation.invars]
    used = {x for x in (*used, *jaxpr.jaxpr.outvars) if isinstance(x, Var)}
    _, *features = jaxpr.jaxpr.invars[: 1 + len(student_outputs.features)]
    named = zip(sorted(student_outputs.features), features, strict=True)
    return {name for name, feature in named if feature in used}, told


def _branch(judged: Judge, every: dict[str, jax.ShapeDtypeStruct]) -> Callable:
    """(slopes of the loss, what the method says beside it), with everyone's metrics."""

    def branch(student_outputs, state, selection):
        gradient = jax.grad(judged, has_aux=True)
        slopes, (known, metrics) = gradient(student_outputs, state, selection)
        empty = {key: jnp.zeros(x.shape, x.dtype) for key, x in every.items()}
        return slopes, (known, empty | metrics)

    return branch
