"""Terms and methods: how losses and supervision become one objective.

Only here is the squared temperature multiplied in. To add a method: `kdjax.methods`.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxtyping import Array, Float

from kdjax import contracts, losses
from kdjax.methods.denominators import (
    DENOMINATOR,
    check_denominator,
    normalise_weights,
)
from kdjax.supervision.pipeline import Supervisor
from kdjax.types import (
    SAMPLE_FIELDS,
    Batch,
    Connector,
    LossInputs,
    MemoryInputs,
    Outputs,
    PyTree,
    Supervision,
)

Schedule = Callable[[Array], Array]
NOTHING: frozenset[str] = frozenset()
VIEWS = ("crop", "randaugment")  # what a second view of the samples may be
CACHED = ("pooled",)  # features of a teacher that a cache may hold
# Of `Method.needs`: what the step prepares: the teacher's parameters and statistics,
# the gradients of both networks' label logits with respect to the images, and the
# student's own parameters ...
STEP_NEEDS = ("teacher_variables", "image_gradients", "student_parameters")
NEEDS = (*STEP_NEEDS, "members")  # ... and several teachers.


@dataclasses.dataclass(frozen=True)
class Term:
    """A named part of the objective: coefficient times the batch mean of `values`.

    Attributes:
      name: under which it is logged; unique within a method.
      coefficient: a number, or a schedule of the step.
      values: LossInputs -> [batch].
      reads: what of a sample it looks at by itself, of "label" and "index".
    """

    name: str
    coefficient: float | Schedule
    values: Callable[[LossInputs], Float[Array, " batch"]]
    reads: frozenset[str] = frozenset({"label"})


class Memory(NamedTuple):
    """What a method remembers between steps: two pure functions.

    Of samples, such as targets, or of features of both networks, in banks and queues.
    init() gives the first state, a pytree of arrays that is donated and checkpointed
    with the train state; update(state, inputs) gives (what it remembers for these
    samples, next state). Terms find the first as `LossInputs.remembered`. If it is
    `sharded`, arrays whose rows the devices divide evenly have their rows divided.
    """

    init: Callable[[], PyTree]
    update: Callable[[PyTree, MemoryInputs], tuple[PyTree, PyTree]]
    reads: frozenset[str] = SAMPLE_FIELDS
    sharded: bool = False


class Mixture(NamedTuple):
    """Trains on other images than the loader's, prepared from them inside the step.

    prepare(predict, batch, sample_info, step) gives (images, mixed): what the network
    is trained on, and what terms find as `LossInputs.mixed`. `predict(images)` is the
    network before the step, in evaluation mode and without gradient; `batch.second` is
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
      supervisor: what makes the supervision out of a teacher's logits; None for none.
      memory: of each sample; None for none.
      mixture: prepares the images to train on; None for the loader's own.
      connectors: name -> trained parameters of the method; terms find what they give
        as `LossInputs.connected`.
      networks: how many networks of one architecture the student consists of. With two
        or more, `LossInputs.student` has `member_logits`, and its logits are their
        mean.
      second_view: "crop" or "randaugment" where terms compare the outputs on a second
        view of the samples, `LossInputs.second_view`; "" for none.
      needs: what the method cannot train without: names in `Batch.sample_info`, such as
        "selection", or one of NEEDS.
      needs_teacher: True with a supervisor; say so where terms look at a teacher
        without one.
      student_features, teacher_features: names of `Outputs.features` that its parts
        read. A teacher cache can serve a method that reads "pooled" alone.
      has_label_fallback: whether the terms use the labels of the samples that are not
        selected; if not, a run that selects samples applies `with_label_fallback`.

    Raises:
      ValueError: no term, or two terms of one name.
    """

    terms: tuple[Term, ...]
    supervisor: Supervisor | None = None
    memory: Memory | None = None
    mixture: Mixture | None = None
    connectors: Mapping[str, Connector] = dataclasses.field(default_factory=dict)
    networks: int = 1
    second_view: str = ""
    needs: tuple[str, ...] = ()
    needs_teacher: bool = False
    student_features: tuple[str, ...] = ()
    teacher_features: tuple[str, ...] = ()
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
        if self.second_view not in ("", *VIEWS):
            raise ValueError(
                f"Method: second_view is {self.second_view!r}; expected one of "
                f"{', '.join(VIEWS)}, or ''."
            )
        if self.supervisor is not None or self.connectors:
            object.__setattr__(self, "needs_teacher", True)

    @property
    def needs_live_teacher(self) -> str:
        """Why no cache of a teacher's outputs can serve it; "" where one can."""
        others = [name for name in self.teacher_features if name not in CACHED]
        if others:
            return f"it reads the teacher's feature {others[0]!r}"
        if self.second_view:
            return "the teacher computes on a second view"
        step = [need for need in self.needs if need in STEP_NEEDS[:2]]
        return f"it needs {step[0].replace('_', ' ')}" if step else ""

    @property
    def reads(self) -> frozenset[str]:
        """Which of "label" and "index" of a sample the objective looks at."""
        parts = (*self.terms, self.supervisor, self.memory)
        return NOTHING.union(*(part.reads for part in parts if part is not None))


def hard_label(coefficient: float | Schedule, label_smoothing: float = 0.0) -> Term:
    """Cross entropy with the labels."""

    def values(inputs):
        student = inputs.student.logits
        return losses.cross_entropy(student, inputs.labels, label_smoothing)

    return Term("hard_label", coefficient, values)


def soft_logits(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the adjusted teacher logits, at any finite tau."""

    def values(inputs):
        s = _supervision("soft_logits", inputs)
        kl = losses.kl_divergence(student_logits(inputs), s.logits, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_logits", coefficient, values, NOTHING)


def soft_target(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the softened, revised target: for target rules."""

    def values(inputs):
        s = _supervision("soft_target", inputs)
        kl = losses.kl_to_target(student_logits(inputs), s.target, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_target", coefficient, values, NOTHING)


def match_logits(name: str, coefficient: float | Schedule, distance: Callable) -> Term:
    """weight * a distance between logits, such as `losses.mean_squared_error`.

    The temperature plays no part.
    """

    def values(inputs):
        s = _supervision(name, inputs)
        return s.weight * distance(student_logits(inputs), s.logits)

    return Term(name, coefficient, values, NOTHING)


def on_selected(term: Term, denominator: str = "sets") -> Term:
    """The same term averaged over the selected samples: for methods without a teacher.

    values times selection * batch / sum(selection); with nothing selected it is 0. With
    the denominator "batch", values times selection.
    """

    def values(inputs):
        if inputs.selection is None:
            return term.values(inputs)
        weight = normalise_weights(inputs.selection, denominator)
        return weight * term.values(inputs)

    return dataclasses.replace(term, values=values)


def on_supervised(term: Term, denominator: str = "sets") -> Term:
    """A teacher's term averaged over the samples that are selected for the teacher.

    With the denominator "batch" it is the term itself, which has the weights already.
    """

    def values(inputs):
        s = _supervision(term.name, inputs)
        s = s._replace(weight=normalise_weights(s.weight, denominator))
        return term.values(inputs._replace(supervision=s))

    return dataclasses.replace(term, values=values)


def label_unselected(coefficient: float | Schedule, denominator: str = "sets") -> Term:
    """Cross entropy averaged over the samples that are not selected for the teacher.

    values = (1 - selection) CE * batch / sum(1 - selection); 0 where there are none.
    With the denominator "batch", values = (1 - selection) CE.
    """

    def values(inputs):
        loss = losses.cross_entropy(inputs.student.logits, inputs.labels)
        return normalise_weights(1.0 - inputs.selection, denominator) * loss

    return Term("label_unselected", coefficient, values)


def with_label_fallback(method: Method, denominator: str = DENOMINATOR) -> Method:
    """The same method on the selected samples, cross entropy on the others.

    What data selection makes of any method with a teacher (Lan et al., arXiv:
    2404.03693). The labels of selected samples are used as far as the method uses
    labels. With B samples in a batch and the set D of the selected ones,

        "sets":   L = mean_{not D} CE + mean_D (method)
        "batch":  L = (1 / B) [sum_{not D} CE + sum_D (method)]

    With "batch" every sample counts once. With "sets" a fifth of the samples, where
    four fifths are selected, has half of the weight; a mean over no sample is 0. What
    could be read of the paper says which samples have which supervision, and nothing of
    a denominator.

    A method that has a fallback of its own comes back as it is.

    Raises:
      ValueError: another denominator.

    >>> from kdjax.methods import kd
    >>> method = with_label_fallback(kd.build(alpha=1.0, temperature=4.0), "batch")
    >>> [term.name for term in method.terms]
    ['label_unselected', 'soft_logits']
    """
    check_denominator("with_label_fallback", denominator)
    if method.has_label_fallback:
        return method
    own = tuple(
        (on_selected if term.name == "hard_label" else on_supervised)(term, denominator)
        for term in method.terms
    )
    terms = (label_unselected(1.0, denominator), *own)
    return dataclasses.replace(method, terms=terms, has_label_fallback=True)


def labels_and_teacher(
    alpha: float, term: Term, supervisor: Supervisor, label_smoothing: float = 0.0
) -> Method:
    """(1 - alpha) cross entropy and the teacher's term; parts of weight 0 left out."""
    labels = hard_label(1.0 - alpha, label_smoothing)
    if alpha == 0:
        return Method(terms=(on_selected(labels),))
    terms = (term,) if alpha == 1 else (labels, term)
    return Method(terms=terms, supervisor=supervisor)


def soft_teacher(where: str, supervisor: Supervisor, label_weight: float) -> Method:
    """tau^2 KL against the supervision, and cross entropy with the label.

    Probabilities have fewer digits than logits, so the target is compared only where
    the supervisor has rules on targets.

    `where` names the method in errors; at a label_weight of 0 the label is left out.
    """
    contracts.not_negative(where, "label_weight", label_weight)
    terms = ((soft_target if supervisor.target else soft_logits)(1.0),)
    if label_weight:
        terms = (hard_label(label_weight), *terms)
    return Method(terms=terms, supervisor=supervisor)


def student_logits(inputs: LossInputs) -> Float[Array, "batch classes"]:
    """What is compared with `Supervision.logits`: the student's, transformed alike."""
    transformed = inputs.supervision.student_logits
    return inputs.student.logits if transformed is None else transformed


def _supervision(term: str, inputs: LossInputs) -> Supervision:
    if inputs.supervision is None:
        raise ValueError(
            f"{term}: inputs.supervision is None; expected the teacher's: give the "
            "Method a supervisor and the step a teacher."
        )
    return inputs.supervision
