"""RC as a rule: the student's own logits, the label raised, in the teacher's place.

As in the public code of Sun et al., "Knowledge Distillation with Refined Logits", ICCV
2025 (arXiv:2408.07703), which compares with it. RLD's own losses are in `kdjax.losses`.
"""

from jaxtyping import Array, Float

from kdjax import losses
from kdjax.supervision.pipeline import reads
from kdjax.types import Signals


@reads("label")
def raised_label(signals: Signals) -> Float[Array, "batch classes"]:
    """Logits rule: z' = s, and at the label s_y + max_k s_k. The teacher plays no part.

    KL to these at temperature 4 with weight 0.1, beside cross entropy and KL to the
    teacher, is RC as published; `losses.label_correction` is that part by itself.

    NaN where a traced label is out of range; a concrete one is a ValueError.
    """
    return losses.raise_label(signals.student_logits, signals.labels)
