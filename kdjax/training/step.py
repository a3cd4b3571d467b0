"""The train step: a tuple of students against one teacher forward. Pure, not jitted."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kdjax.models.network import Network, call_train
from kdjax.training.objective import compute_loss
from kdjax.training.state import Student, TrainState
from kdjax.training.update import (
    TEACHER,
    Gradients,
    Metrics,
    apply_finite,
    unusable_share,
)
from kdjax.types import (
    Batch,
    ConnectorInputs,
    ImageGradients,
    LabelMixture,
    Outputs,
    PyTree,
    SecondView,
)


class TeacherResults(NamedTuple):
    """What a step knows of the teacher: computed once, for all students."""

    outputs: Outputs | None = None
    second_views: dict[str, Outputs] = {}  # of each kind of second view
    image_gradient: jax.Array | None = None
    variables: PyTree = None


def make_train_step(
    students: dict[str, Student],
    teacher: Network | None,
    gather_batch: Callable[[PyTree, PyTree], Batch],
    augment: Callable[..., jax.Array],
    mix: Callable[[Batch], tuple[jax.Array, ...]] | None = None,
    accumulation_steps: int = 1,
    unrolled: bool = False,
) -> Callable[..., tuple[dict[str, TrainState], dict[str, Metrics]]]:
    """Builds `(states, teacher_variables, source, batch_spec) -> (states, metrics)`.

    Data, augmentation and teacher are computed once and shared by all students, so a
    grid of students is one program.

    Args:
      teacher: only its `evaluate` is used; None where no method needs one, and where
        `gather_batch` gives its outputs as `Batch.teacher_outputs`.
      gather_batch: (source, batch_spec) -> Batch; the loader's pure half.
      augment: (Batch, view, kind) -> normalised images; another view is another crop,
        and of the kind "randaugment" it is transformed further.
      mix: Batch -> (images, partner, share), mixtures of two samples each in place of
        the first view, as of `Augment.train_mixed`; None for none.
      accumulation_steps: microbatches of a step, which are all that anything sees that
        looks at several samples: batch norms, losses, memories, mixtures, the teacher.
      unrolled: see `accumulate`.

    Raises:
      ValueError: images are mixed, and a method cannot train on mixtures.
    """
    if mix is not None:
        _check_mixable(students)
    prepare = _preparation(students, teacher, gather_batch, augment, mix)

    def train_step(states, teacher_variables, source, batch_spec):
        def of_microbatch(states, number, rows):
            given = prepare(teacher_variables, source, rows)
            return {
                name: student_gradients(student, states[name], *given[name], number)
                for name, student in students.items()
            }

        if accumulation_steps > 1:
            from kdjax.training.accumulation import accumulate

            how = accumulation_steps, unrolled
            computed, given = accumulate(of_microbatch, states, batch_spec, *how), {}
        else:
            computed, given = {}, prepare(teacher_variables, source, batch_spec)
        next_states, metrics = {}, {}
        for name, student in students.items():
            pair = student, states[name]
            own = computed[name] if computed else student_gradients(*pair, *given[name])
            next_states[name], metrics[name] = apply_finite(*pair, own)
        return next_states, metrics

    return train_step


def _preparation(students: dict[str, Student], teacher, gather_batch, augment, mix):
    """Builds `(teacher_variables, source, batch_spec) -> name -> a student's inputs`.

    Those are what `student_gradients` takes after the state, but for its `number`.
    """
    methods = [student.method for student in students.values()]
    has_mixture = any(method.mixture is not None for method in methods)
    kinds = sorted({method.second_view for method in methods} - {""})

    def prepare(teacher_variables, source, batch_spec):
        batch = gather_batch(source, batch_spec)
        second = augment(batch, 1, "crop") if has_mixture else None
        views = {kind: augment(batch, 1, kind) for kind in kinds}
        batch = _first_view(batch, augment, mix)._replace(second=second)
        results = _teacher_results(methods, teacher, teacher_variables, batch, views)
        inputs = {}
        for name, student in students.items():
            view = views.get(student.method.second_view)
            inputs[name] = results, batch, batch.sample_info.get(name, {}), view
        return inputs

    return prepare


def _first_view(batch: Batch, augment: Callable, mix: Callable | None) -> Batch:
    """The batch with the images that are trained on, and the labels of mixtures."""
    if mix is None:
        return batch._replace(image=augment(batch, 0, "crop"))
    images, partner, share = mix(batch)
    labels = LabelMixture(batch.label[partner], share)
    return batch._replace(image=images, label_mixture=labels)


def _check_mixable(students: dict[str, Student]) -> None:
    for name, student in students.items():
        reason = student.method.why_not_mixed
        if reason:
            raise ValueError(
                f"make_train_step: {name} cannot train on mixtures of two images: "
                f"{reason}; expected images that are not mixed."
            )


def _teacher_results(methods, teacher, variables, batch, views) -> TeacherResults:
    """Whatever the methods need of the teacher; the compiler drops what none reads."""
    if teacher is None:
        return TeacherResults(jax.lax.stop_gradient(batch.teacher_outputs))
    evaluate = functools.partial(teacher.evaluate, *variables)
    outputs, gradient = evaluate(batch.image), None
    if any("image_gradients" in method.needs for method in methods):
        gradient = label_gradient(
            lambda images: (evaluate(images), None), batch.image, batch.label
        )[1]
    seconds = {kind: evaluate(images) for kind, images in views.items()}
    return jax.lax.stop_gradient(TeacherResults(outputs, seconds, gradient, variables))


class Given(NamedTuple):
    """What one student's update is computed of, beside its state."""

    images: jax.Array | tuple[jax.Array, ...]
    view: jax.Array | None  # the second one, where the method asks for it
    teacher: TeacherResults
    batch: Batch
    selection: jax.Array
    mixed: PyTree
    keys: jax.Array  # of the network on each view, and of the memory


def student_gradients(
    student: Student,
    state: TrainState,
    teacher: TeacherResults,
    batch: Batch,
    sample_info: dict[str, jax.Array],
    view: jax.Array | None,
    number: jax.Array | None = None,
) -> Gradients:
    """Of a batch, or of microbatch `number`, which draws random numbers of its own.

    `view` is the second view of the batch, where the method asks for one. The metrics
    are loss, loss/<term>, top1 and what the supervisor and the method report.
    """
    network, method = student.network, student.method
    images, mixed = batch.image, None
    if method.mixture is not None:
        predict = functools.partial(network.evaluate, state.params, state.batch_stats)
        prepared = method.mixture.prepare(predict, batch, sample_info, state.step)
        images, mixed = jax.lax.stop_gradient(prepared)
    selection = sample_info.get("selection", jnp.ones(batch.label.shape, jnp.float32))
    key = jax.random.key(student.seed, impl="threefry2x32")
    key = jax.random.fold_in(key, state.step)
    if number is not None:
        key = jax.random.fold_in(key, number)
    keys = jax.random.split(key, 3)
    given = Given(images, view, teacher, batch, selection, mixed, keys)
    loss_of = functools.partial(_loss, student, state, given)
    gradients, (changes, metrics) = jax.grad(loss_of, has_aux=True)(state.trained)
    if method.needs_teacher:
        outputs = teacher.outputs, teacher.second_views.get(method.second_view)
        metrics |= {TEACHER: unusable_share(method, outputs, teacher.image_gradient)}
    return Gradients(gradients, changes, metrics)


def _loss(student: Student, state: TrainState, given: Given, trained: PyTree):
    """(the loss, (`Gradients.changes`, metrics))."""
    method, teacher = student.method, given.teacher
    params = trained["network"] if method.connectors else trained
    declared = {}
    if "teacher_variables" in method.needs:
        declared["teacher_variables"] = teacher.variables
    if "student_parameters" in method.needs:
        declared["student_parameters"] = params
    outputs, batch_stats = _outputs(student, state, given, params, declared)
    connectors = state.connectors
    if method.connectors:
        inputs = ConnectorInputs(outputs, teacher.outputs)
        declared["connected"], connectors = _connect(method, state, trained, inputs)
    loss, (supervision_state, metrics) = compute_loss(
        method,
        outputs,
        teacher.outputs,
        given.batch,
        given.selection,
        state.step,
        state.supervision_state,
        given.mixed,
        given.keys[2],
        **declared,
    )
    supervision_state = state.supervision_state | supervision_state
    changes = {"batch_stats": batch_stats, "supervision_state": supervision_state}
    return loss, (changes | {"connectors": connectors}, metrics)


def _outputs(student: Student, state: TrainState, given: Given, params, declared: dict):
    """(outputs, batch_stats); adds those on a second view, and image gradients."""
    method, keys = student.method, given.keys

    def train(images, batch_stats, key):
        return call_train(student.network, params, batch_stats, images, key)

    if "image_gradients" in method.needs:
        (outputs, batch_stats), gradient = label_gradient(
            lambda images: train(images, state.batch_stats, keys[0]),
            *(given.images, given.batch.label),
        )
        pair = ImageGradients(gradient, given.teacher.image_gradient)
        declared["image_gradients"] = pair
    else:
        outputs, batch_stats = train(given.images, state.batch_stats, keys[0])
    if method.second_view:
        second, batch_stats = train(given.view, batch_stats, keys[1])
        theirs = given.teacher.second_views.get(method.second_view)
        declared["second_view"] = SecondView(second, theirs)
    return outputs, batch_stats


def label_gradient(apply: Callable, images, labels):
    """(apply(images), gradient of each sample's label logit in its image).

    `apply` returns (Outputs, anything). In training a batch norm couples samples: the
    gradient is that of the sum over the batch.
    """

    def at_label(images):
        outputs, rest = apply(images)
        picked = jnp.take_along_axis(outputs.logits, labels[:, None], axis=-1)
        return jnp.sum(picked), (outputs, rest)

    gradient, result = jax.grad(at_label, has_aux=True)(images)
    return result, gradient


def _connect(method, state: TrainState, trained, inputs: ConnectorInputs):
    """({name: what the connector gives}, the connectors with their next states)."""
    given, connectors = {}, {}
    for name, one in method.connectors.items():
        own = (trained["connectors"][name], state.connectors[name]["state"])
        given[name], following = one.apply(*own, inputs, one.rate > 0)
        connectors[name] = state.connectors[name] | {"state": following}
    return given, connectors
