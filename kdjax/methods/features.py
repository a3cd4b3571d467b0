"""What the methods on features share: pairs of names, and a term on them beside CE."""

from collections.abc import Callable, Mapping, Sequence

from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.methods.base import NOTHING, Method, Schedule, Term
from kdjax.methods.terms import hard_label
from kdjax.types import Connector, LossInputs

# The stages of RepDistiller's CIFAR residual networks, after their last ReLU.
STAGES = ("stage1", "stage2", "stage3")
Names = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]
Values = Callable[[LossInputs], Float[Array, " batch"]]


def pairs_of(where: str, student: Sequence[str], teacher: Sequence[str], least=1):
    """((student's name, teacher's name), ...) from the first level to the last.

    Raises:
      ValueError: other numbers of names, or fewer than `least`; a name that is no
        string.
    """
    names = [*student, *teacher] if not isinstance(student, str) else [None]
    strings = not isinstance(teacher, str) and all(isinstance(n, str) for n in names)
    if not strings or len(student) != len(teacher) or len(student) < least:
        raise ValueError(
            f"{where}: student_features is {student!r}, teacher_features {teacher!r}; "
            f"expected as many names of both, {least} or more."
        )
    return tuple(zip(student, teacher, strict=True))


def every_level(loss: Callable, pairs: Pairs) -> Values:
    """The sum over the levels of loss(student's features, teacher's features)."""

    def values(inputs):
        student, teacher = inputs.student.features, inputs.teacher.features
        return sum(loss(student[s], teacher[t]) for s, t in pairs)

    return values


def beside_labels(
    where: str,
    term: str,
    weight: float | Schedule,
    values: Values,
    pairs: Pairs,
    connectors: Mapping[str, Connector] | None = None,
) -> Method:
    """Cross entropy with the labels, and weight times a term on those features.

    `where` is the method, for errors; the term reads no label.
    """
    if not callable(weight):
        contracts.positive(where, "weight", weight)
    return Method(
        terms=(hard_label(1.0), Term(term, weight, values, NOTHING)),
        connectors=connectors or {},
        needs_teacher=True,
        student_features=tuple(s for s, _ in pairs),
        teacher_features=tuple(t for _, t in pairs),
    )
