"""Dynamic temperature by confidence: weights from the student's maximum (CWSM).

T. Wen, S. Lai, X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better
Supervision", Neurocomputing 454, 2021 (arXiv:1911.07471): dynamic temperature
distillation (DTD).

    L = mean_x tau_x^2 KL(R(softmax(t / tau_x)) || softmax(s / tau_x)) + label_weight CE
    tau_x = max(lowest, tau_0 + (mean_j w_j - w_x) beta)
    w = 1 / (max_k softmax(s)_k + 0.001)

| symbol | argument                                   |
|--------|--------------------------------------------|
| tau_0  | base                                       |
| beta   | spread                                     |
| -      | lowest, label_weight                       |
| -      | memory_decay: tau_x is a mean over epochs  |
| R      | with eta as in `dtd_flsw`, else none       |

Departs from the paper: its text could not be opened, and the equations are those of a
public re-implementation (TextBrewer), down to its 0.001. The floor is another one's,
without which a temperature may become negative and train all the same (the step logs
`temperature/mean` and `temperature/floored`). w reaches the number of classes, hence a
default spread far below that of `dtd_flsw`: with 100 classes and base 10 nothing is
clipped up to 0.1. The defaults could not be verified. The memory, the cross entropy and
R, all off by default, are additions; R is the label revision of Lan et al. 2024
(arXiv:2404.03693).
"""

from kdjax.methods.base import Method
from kdjax.methods.terms import soft_teacher
from kdjax.supervision.memory import remembered
from kdjax.supervision.pipeline import Supervisor
from kdjax.supervision.revision import with_revision
from kdjax.supervision.temperature import by_confidence

REFERENCE = "Wen et al., Preparing Lessons, Neurocomputing 2021"


def build(
    *,
    base: float = 10.0,
    spread: float = 0.1,
    lowest: float = 1.0,
    label_weight: float = 0.0,
    memory_decay: float | None = None,
    num_examples: int | None = None,
    eta: float | None = None,
) -> Method:
    """Softened teacher, sharper on the samples on which the student is unsure.

    Args:
      base: the mean temperature, not below lowest.
      spread: of the temperatures, >= 0.
      lowest, label_weight, memory_decay, num_examples, eta: as in `dtd_flsw`.
    """
    rule = by_confidence(base, spread, lowest)
    rule = remembered(rule, num_examples, memory_decay)
    supervisor = with_revision(Supervisor(temperature=rule), eta)
    return soft_teacher("dtd_cwsm", supervisor, label_weight)
