"""What supervision rules look at, made of the arrays of a training loop."""

import numpy as np
from jaxtyping import Float, Integer

from kdjax import contracts
from kdjax.losses.numerics import AnyArray
from kdjax.types import Signals


def signals(
    student_logits: Float[AnyArray, "batch classes"],
    teacher_logits: Float[AnyArray, "batch classes"],
    labels: Integer[AnyArray, " batch"],
    *,
    index: Integer[AnyArray, " batch"] | None = None,
    selection: Float[AnyArray, " batch"] | None = None,
    step: int | Integer[AnyArray, ""] = 0,
    members: Float[AnyArray, "batch teachers classes"] | None = None,
) -> Signals:
    """What the rules look at, of one batch; `supervise` checks it.

    Args:
      student_logits, teacher_logits: [batch, classes]; reshape more axes to these two.
      labels: integers in 0..classes-1.
      index: each sample's place in the training split, for rules that remember; as a
        rule 0, 1, 2 ...
      selection: weight of the teacher on each sample, >= 0; as a rule 1.
      step: of the training, from 0, for rules that follow it.
      members: each teacher's own logits, for rules on ensembles.

    >>> from kdjax.supervision import Supervisor, supervise
    >>> s, t = np.float32([[0, 1]]), np.float32([[2, 0]])
    >>> supervision, _ = supervise(Supervisor(), (), signals(s, t, np.array([0])))
    >>> print(supervision.logits, supervision.weight)
    [[2. 0.]] [1.]
    """
    if isinstance(step, int):
        contracts.whole("signals", "step", step, 0)
    batch = contracts.shapes("signals", labels=(labels, "batch"))["batch"]
    return Signals(
        student_logits=student_logits,
        teacher_logits=teacher_logits,
        labels=labels,
        index=np.arange(batch, dtype=np.int32) if index is None else index,
        selection=np.ones(batch, np.float32) if selection is None else selection,
        step=np.int32(step) if isinstance(step, int) else step,
        members=members,
    )
