"""A student's update: the optimizer's, unless it would be nonsense."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from kdjax.methods import Method
from kdjax.training import ema
from kdjax.training.state import Student, TrainState
from kdjax.types import Outputs, PyTree

Metrics = dict[str, jax.Array]


class Gradients(NamedTuple):
    """What a student's update is made of: the gradients, and what else changes."""

    gradients: PyTree  # of `TrainState.trained`
    changes: dict[str, PyTree]  # fields of the state that no gradient changes -> new
    metrics: dict[str, jax.Array]


# Why an update is skipped: the metric "skipped" is the place here, 0 for none.
REASONS = ("", "loss", "gradient", "update", "loss_spike", "teacher")
TEACHER = "unusable_teacher"  # a metric of `student_gradients`: the share of rows
LOSS = "loss"  # in `supervision_state`: the mean that a spike is measured by
DECAY, ENOUGH = 0.99, 10  # of that mean, and from how many losses on it is one


def apply_finite(
    student: Student, state: TrainState, computed: Gradients
) -> tuple[TrainState, Metrics]:
    """(the next state, metrics); of an update that is nonsense nothing is applied."""
    gradients, changes, metrics = computed
    rest = {name: value for name, value in metrics.items() if name != TEACHER}
    loss, norm = metrics["loss"], optax.tree.norm(gradients)
    new, wrong = apply_gradients(student, state, gradients, changes), {}
    if student.loss_spike:
        mean = state.supervision_state[LOSS]
        wrong["loss_spike"] = is_spike(loss, mean, student.loss_spike)
        following = {LOSS: ema.update(mean, DECAY, {"loss": loss}, {})}
        supervision_state = new.supervision_state | following
        new = dataclasses.replace(new, supervision_state=supervision_state)
    wrong |= {"gradient": ~jnp.isfinite(norm), "loss": ~jnp.isfinite(loss)}
    if TEACHER in metrics:
        wrong["teacher"] = metrics[TEACHER] > 0
    reason = jnp.zeros((), jnp.float32)
    # The last one holds: a teacher of NaN makes the loss NaN, and that the gradient.
    for name, is_wrong in wrong.items():
        reason = jnp.where(is_wrong, jnp.float32(REASONS.index(name)), reason)
    kept, is_finite = keep_finite(reason == 0, new, state)
    overflow = (reason == 0) & ~is_finite
    reason = jnp.where(overflow, jnp.float32(REASONS.index("update")), reason)
    return kept, rest | {"gradient_norm": norm, "skipped": reason}


def keep_finite(
    is_sound: jax.Array, new: TrainState, old: TrainState
) -> tuple[TrainState, jax.Array]:
    """(`new` where it is sound and finite, else `old` with its step; is it finite).

    A bad batch must not poison weights, statistics or momentum: only step moves on. The
    loop counts such steps and stops the run when it happens again and again. A finite
    gradient may still overflow: at a large rate, or in the statistics.
    """

    def selected(condition, names, new):
        trees = {name: (getattr(new, name), getattr(old, name)) for name in names}
        return {
            name: jax.tree.map(lambda a, b: jnp.where(condition, a, b), *pair)
            for name, pair in trees.items()
        }

    checked = ("params", "batch_stats", "connectors")
    others = ("opt_state", "supervision_state", "ema")
    # Without the barrier the compiler fuses the update with the question whether it is
    # finite, and rounds it otherwise than versions did that did not ask.
    first = jax.lax.optimization_barrier(selected(is_sound, checked, new))
    is_finite = all_finite(first)
    kept = selected(is_finite, checked, dataclasses.replace(new, **first))
    kept |= selected(is_sound & is_finite, others, new)
    return TrainState(step=new.step, **kept), is_finite


def all_finite(tree: PyTree) -> jax.Array:
    """Whether no float of a tree is NaN or infinite; one boolean.

    Of one vector: a reduction of every array takes the compiler longer than the step.
    """
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    kinds = {leaf.dtype for leaf in leaves}
    finite = jnp.array(True)
    for kind in sorted(kinds, key=str):
        flat = jnp.concatenate([x.ravel() for x in leaves if x.dtype == kind])
        finite &= jnp.all(jnp.isfinite(flat))
    return finite


def unusable_rows(logits: jax.Array, xp=jnp) -> jax.Array:
    """Which rows of logits [..., classes] have no softmax: bool [...].

    Those with NaN or infinity, and those of -inf alone; -inf masks a class. It is asked
    of every logit: XLA's CPU backend loses a NaN in the maximum of a large array, and
    the softmax of nothing but NaN is then uniform. On the host `xp` is NumPy.
    """
    wrong = xp.isnan(logits) | xp.isposinf(logits)
    return xp.any(wrong, -1) | xp.all(xp.isneginf(logits), -1)


def unusable_share(
    method: Method, outputs: Iterable[Outputs | None], image_gradient: jax.Array | None
) -> jax.Array:
    """How much of what a method reads of its teacher is no number; 0 for nothing.

    Means, which devices add up together with that of the loss.
    """
    wrong = []
    logits, others = [], []
    for one in filter(None, outputs):
        logits += [x for x in (one.logits, one.member_logits) if x is not None]
        names = [name for name in method.teacher_features if name in one.features]
        others += [one.features[name] for name in names]
    if "image_gradients" in method.needs:
        others.append(image_gradient)
    # Behind a barrier, so that the losses are rounded as they would be without this.
    logits, others = jax.lax.optimization_barrier((logits, others))
    wrong = [unusable_rows(x) for x in logits] + [~jnp.isfinite(x) for x in others]
    return sum(jnp.mean(one, dtype=jnp.float32) for one in wrong)


def is_spike(loss: jax.Array, mean: PyTree, times: float) -> jax.Array:
    """Whether a loss is above so many times the running mean, of losses below 0 too."""
    usual = mean["params"]["loss"]
    far = loss - usual > (times - 1.0) * jnp.abs(usual)
    return far & (mean["count"] >= ENOUGH)


def apply_gradients(
    student: Student, state: TrainState, gradients: PyTree, changes: dict[str, PyTree]
) -> TrainState:
    """The state after the optimizer's update; `changes` are those of `Gradients`."""
    old = state.trained
    updates, opt_state = student.optimizer.update(gradients, state.opt_state, old)
    if state.connectors:
        rates = {name: one.rate for name, one in student.method.connectors.items()}
        own = {
            name: jax.tree.map(lambda update, rate=rates[name]: rate * update, tree)
            for name, tree in updates["connectors"].items()
        }
        updates = updates | {"connectors": own}
    params, connectors = optax.apply_updates(old, updates), {}
    if state.connectors:
        connectors = {
            name: one | {"params": params["connectors"][name]}
            for name, one in changes["connectors"].items()
        }
        params = params["network"]
    average, batch_stats = {}, changes["batch_stats"]
    if student.ema_decay:
        average = ema.update(state.ema, student.ema_decay, params, batch_stats)
    return TrainState(
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        supervision_state=changes["supervision_state"],
        connectors=connectors,
        ema=average,
    )
