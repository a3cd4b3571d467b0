"""Terms and methods: how losses and supervision become one objective.

Only here is the squared temperature multiplied in.
"""

import collections
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses import logits as losses
from kdjax.supervision.pipeline import Supervisor
from kdjax.types import Batch, LossInputs, MemoryInputs, Outputs, PyTree, Supervision

Schedule = Callable[[Array], Array]


@dataclasses.dataclass(frozen=True)
class Term:
    """A named part of the objective: coefficient times the batch mean of `values`.

    Attributes:
      name: under which it is logged; unique within a method.
      coefficient: a number, or a schedule of the step.
      values: LossInputs -> [batch].
    """

    name: str
    coefficient: float | Schedule
    values: Callable[[LossInputs], Float[Array, " batch"]]


class Memory(NamedTuple):
    """What a method remembers of each sample between steps: two pure functions.

    init() gives the first state, a pytree of arrays that is donated and checkpointed
    with the train state; update(state, traces) gives (what it says of these samples,
    next state). Terms find the first as `LossInputs.remembered`.
    """

    init: Callable[[], PyTree]
    update: Callable[[PyTree, MemoryInputs], tuple[PyTree, PyTree]]


class Mixture(NamedTuple):
    """Trains on other images than the feed's, made of them inside the step.

    prepare(predict, batch, notes, step) gives (images, mixed): what the network is
    trained on, and what terms find as `LossInputs.mixed`. `predict(images)` is the network
    as it is before the step, in evaluation mode and without gradient; `batch.second` is
    another crop of the same samples. With several networks, images may be a tuple, one
    array each.
    """

    prepare: Callable[
        [Callable[[Array], Outputs], Batch, dict[str, Array], Array],
        tuple[Array | tuple[Array, ...], PyTree],
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """A way to train a student.

    Attributes:
      terms: summed into the objective.
      supervisor: what the student is taught with; None where no teacher is needed.
      memory: what is remembered of each sample; None where nothing is.
      mixture: makes the images to train on; None for the feed's own.
      networks: how many networks of one architecture the student consists of. With two
        or more, `LossInputs.student.features["members"]` is [batch, networks, classes] and
        `LossInputs.student.logits` their mean.
      needs: what the method cannot train without: names of per-sample notes, such as
        "selection", or "members", several teachers.
      labels_the_rest: whether the terms see to the samples on which the teacher is not
        heard; where not, a run that selects samples applies `with_label_fallback`.

    Raises:
      ValueError: no term, or two terms of one name.
    """

    terms: tuple[Term, ...]
    supervisor: Supervisor | None = None
    memory: Memory | None = None
    mixture: Mixture | None = None
    networks: int = 1
    needs: tuple[str, ...] = ()
    has_label_fallback: bool = False

    def __post_init__(self):
        if not self.terms:
            raise ValueError("Method: terms is empty; expected at least one Term.")
        names = collections.Counter(term.name for term in self.terms)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(
                f"Method: {twice} name more than one term; expected unique names, "
                "under which the terms are logged."
            )


def hard_label(coefficient: float | Schedule, label_smoothing: float = 0.0) -> Term:
    """Cross entropy with the labels."""

    def values(inputs):
        student = inputs.student.logits
        return losses.cross_entropy(student, inputs.labels, label_smoothing)

    return Term("hard_label", coefficient, values)


def label_unselected(coefficient: float | Schedule) -> Term:
    """Cross entropy on the samples on which the teacher is not heard.

    values = (1 - selection) CE * batch / sum(1 - selection); the batch mean is then the
    mean over those samples, and 0 where there are none.
    """

    def values(inputs):
        loss = losses.cross_entropy(inputs.student.logits, inputs.labels)
        return share(1.0 - inputs.selection) * loss

    return Term("label_unselected", coefficient, values)


def chosen(term: Term) -> Term:
    """The same term over the selected samples only: for methods without a teacher.

    values times selection * batch / sum(selection); with nothing selected it is 0.
    """

    def values(inputs):
        if inputs.selection is None:
            return term.values(inputs)
        return share(inputs.selection) * term.values(inputs)

    return dataclasses.replace(term, values=values)


def heard(term: Term) -> Term:
    """A teacher's term as the mean over the samples on which the teacher is heard."""

    def values(inputs):
        s = _supervision(term.name, inputs)
        s = s._replace(weight=share(s.weight))
        return term.values(inputs._replace(supervision=s))

    return dataclasses.replace(term, values=values)


def with_label_fallback(method: Method) -> Method:
    """The same method on the selected samples, cross entropy on the others.

    What data selection makes of any method with a teacher (Lan et al., arXiv:
    2404.03693): each part of the objective is the mean over its own samples, and the
    labels of selected samples are used as far as the method uses labels.

    Args:
      method: with a supervisor. One that sees to the rest by itself comes back as it
        is.
    """
    if method.has_label_fallback:
        return method
    own = tuple(
        chosen(term) if term.name == "hard_label" else heard(term)
        for term in method.terms
    )
    terms = (label_unselected(1.0), *own)
    return dataclasses.replace(method, terms=terms, has_label_fallback=True)


def share(weight: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """Weights scaled to a mean of 1 over the batch, or all 0.

    The batch mean of share(w) * x is the weighted mean of x.
    """
    total = jnp.sum(weight)
    scale = jnp.where(total > 0, weight.shape[0] / jnp.where(total > 0, total, 1.0), 0)
    return weight * scale


def soft_logits(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the adjusted teacher logits, at any finite tau."""

    def values(inputs):
        s = _supervision("soft_logits", inputs)
        kl = losses.kl_divergence(inputs.student.logits, s.logits, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_logits", coefficient, values)


def soft_target(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the softened, revised target: for target rules."""

    def values(inputs):
        s = _supervision("soft_target", inputs)
        kl = losses.kl_to_target(inputs.student.logits, s.target, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_target", coefficient, values)


def soft_teacher(where: str, supervisor: Supervisor, label_weight: float) -> Method:
    """tau^2 KL against whatever the supervisor says, and cross entropy with the label.

    Probabilities have fewer digits than logits, so the target is compared only where
    the supervisor has rules on targets.

    Args:
      where: names the method in errors.
      supervisor: stages of any kind.
      label_weight: of the cross entropy, >= 0; left out at 0.

    Raises:
      ValueError: label_weight is outside its range.

    >>> from kdjax.supervision.temperature import fixed
    >>> method = soft_teacher("kd", Supervisor(temperature=fixed(4)), label_weight=0.1)
    >>> [term.name for term in method.terms]
    ['hard_label', 'soft_logits']
    """
    terms = ((soft_target if supervisor.target else soft_logits)(1.0),)
    if label_weight != 0:
        contracts.positive(where, "label_weight", label_weight)
        terms = (hard_label(label_weight), *terms)
    return Method(terms=terms, supervisor=supervisor)


def match_logits(name: str, coefficient: float | Schedule, distance: Callable) -> Term:
    """weight * a distance between logits, such as `losses.mean_squared_error`.

    The temperature plays no part.
    """

    def values(inputs):
        s = _supervision(name, inputs)
        return s.weight * distance(inputs.student.logits, s.logits)

    return Term(name, coefficient, values)


def _supervision(term: str, inputs: LossInputs) -> Supervision:
    if inputs.supervision is None:
        raise ValueError(
            f"{term}: views.supervision is None; expected what a teacher said: "
            "give the Method a supervisor and the step a teacher."
        )
    return inputs.supervision
