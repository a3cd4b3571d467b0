"""What a method is: terms, rules and whatever else it needs, as it declares.

To add a method: `kdjax.methods`. The terms that many share are in `terms`.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxtyping import Array, Float

from kdjax.supervision.pipeline import Supervisor
from kdjax.types import (
    SAMPLE_FIELDS,
    Batch,
    Connector,
    LossInputs,
    MemoryInputs,
    Outputs,
    PyTree,
)

Schedule = Callable[[Array], Array]
NOTHING: frozenset[str] = frozenset()
VIEWS = ("crop", "randaugment")  # what a second view of the samples may be
CACHED = ("pooled",)  # features of a teacher that a cache may hold
# Of `Method.needs`: what the step prepares: the teacher's parameters and statistics,
# the gradients of both networks' label logits with respect to the images, and the
# student's own parameters ...
STEP_NEEDS = ("teacher_variables", "image_gradients", "student_parameters")
LIVE_NEEDS = {"teacher_variables", "image_gradients"}  # that no cache can give
# ... several teachers, or a single one whose classifier has the run's classes.
NEEDS = (*STEP_NEEDS, "members", "teacher_classifier")


@dataclasses.dataclass(frozen=True)
class Term:
    """A named part of the objective: coefficient times the batch mean of `values`.

    Attributes:
      name: under which it is logged; unique within a method.
      coefficient: a number, or a schedule of the step.
      values: LossInputs -> [batch].
      reads: what of a sample it looks at by itself, of "label" and "index".
      weighted: True: values already include `Supervision.weight`. Values of the other
        terms are multiplied by a selection of samples, where a run has one.
      mixed_labels: whether it reads `LossInputs.label_mixture` beside the label, and so
        can train on mixtures of two images.
    """

    name: str
    coefficient: float | Schedule
    values: Callable[[LossInputs], Float[Array, " batch"]]
    reads: frozenset[str] = frozenset({"label"})
    weighted: bool = False
    mixed_labels: bool = False


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


class ReusedClassifier(NamedTuple):
    """The student predicts with its teacher's classifier, through a projector.

    `models.classifiers.with_reused_classifier` makes its network. Both stay at
    inference: they are saved, exported and evaluated with it. `LossInputs.student` has
    the projected map as the feature "projected".
    """

    student_feature: str
    teacher_feature: str
    factor: int  # by how much the projector is narrower inside


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
      reused_classifier: where the student predicts with its teacher's; None where it
        has its own. Adds "teacher_classifier" to `needs`.
      second_view: "crop" or "randaugment" where terms compare the outputs on a second
        view of the samples, `LossInputs.second_view`; "" for none.
      needs: what the method cannot train without: names in `Batch.sample_info`, such as
        "selection", or one of NEEDS.
      needs_teacher: True with a supervisor, connectors or the teacher's classifier; say
        so where terms look at a teacher without one.
      student_features, teacher_features: names of `Outputs.features` that its parts
        read. A teacher cache can serve a method that reads "pooled" alone.
      has_label_fallback: whether the terms use the labels of the samples that are not
        selected; if not, a run that selects samples applies `with_label_fallback`.
      report: LossInputs -> {name: scalar}, logged beside the losses, such as a trained
        temperature; None for nothing.

    Raises:
      ValueError: no term, or two terms of one name.
    """

    terms: tuple[Term, ...]
    supervisor: Supervisor | None = None
    memory: Memory | None = None
    mixture: Mixture | None = None
    connectors: Mapping[str, Connector] = dataclasses.field(default_factory=dict)
    networks: int = 1
    reused_classifier: ReusedClassifier | None = None
    second_view: str = ""
    needs: tuple[str, ...] = ()
    needs_teacher: bool = False
    student_features: tuple[str, ...] = ()
    teacher_features: tuple[str, ...] = ()
    has_label_fallback: bool = False
    report: Callable[[LossInputs], Mapping[str, Array]] | None = None

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
        if self.reused_classifier is not None:
            needs = dict.fromkeys((*self.needs, "teacher_classifier"))
            object.__setattr__(self, "needs", tuple(needs))
        if self.supervisor or self.connectors or self.reused_classifier:
            object.__setattr__(self, "needs_teacher", True)

    @property
    def why_not_cached(self) -> str:
        """Why no cache of a teacher's outputs can serve it; "" where one can."""
        others = [name for name in self.teacher_features if name not in CACHED]
        if others:
            return f"it reads the teacher's feature {others[0]!r}"
        if self.second_view:
            return "the teacher computes on a second view"
        live = [need for need in self.needs if need in LIVE_NEEDS]
        return f"it needs {live[0].replace('_', ' ')}" if live else ""

    @property
    def why_not_mixed(self) -> str:
        """Why it cannot train on mixtures of two images; "" where it can."""
        if self.mixture is not None:
            return "it prepares its images by itself"
        if self.second_view:
            return "its second view would be another mixture, with another label"
        if "image_gradients" in self.needs:
            return "its image gradients are of the logit of one label"
        if "index" in self.reads:
            return "it remembers each sample"
        parts = {f"its {t.name}": t for t in self.terms if not t.mixed_labels}
        parts |= {"its supervisor": self.supervisor, "its memory": self.memory}
        for name, part in parts.items():
            if part is not None and "label" in part.reads:
                return f"{name} reads the label of one sample"
        return ""

    @property
    def reads(self) -> frozenset[str]:
        """Which of "label" and "index" of a sample the objective looks at."""
        parts = (*self.terms, self.supervisor, self.memory)
        return NOTHING.union(*(part.reads for part in parts if part is not None))
