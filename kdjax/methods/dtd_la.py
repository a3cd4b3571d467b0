"""Dynamic temperature and logits adjustment together.

T. Wen, S. Lai, X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better
Supervision", Neurocomputing 454, 2021 (arXiv:1911.07471).

    L = mean_x tau_x^2 KL(R(A(softmax(t / tau_x))) || softmax(s / tau_x))
        + label_weight CE
    tau_x = max(lowest, tau_0 + (mean_j w_j - w_x) beta)

| symbol | argument                                                             |
|--------|----------------------------------------------------------------------|
| A      | adjustment: "shift_first", "shift_last" (`ka_ps`), "lsr" (`ka_lsr`)  |
| w      | confusion: "flsw" (`dtd_flsw`), "cwsm" (`dtd_cwsm`)                  |
| tau_0  | base                                                                 |
| beta   | spread                                                               |
| gamma  | gamma, of "flsw"; its similarity as in `dtd_flsw`                    |
| eps    | epsilon, of "lsr"                                                    |
| -      | lowest, label_weight, memory_decay: as in `dtd_flsw`                 |
| R      | with eta as in `dtd_flsw`, else none                                 |

The order matters to "flsw", which compares student and teacher: with "shift_first" it
sees the adjusted logits, with "shift_last" the teacher's own. At equal temperatures the
two shifts are the same. "lsr" has no logits, so there it always sees the teacher's own.

R comes after A, for A would undo it. A has put the label on top, so b is eta on every
sample and R(A(q)) = eta A(q) + (1 - eta) e_y; where "lsr" replaces the teacher, that is
a smoothed label of eta eps. `dtd_flsw` says how R grows with tau_x.

Departs from the paper: as `ka_ps`, `ka_lsr`, `dtd_flsw` and `dtd_cwsm` do, of which
this is the composition. The paper's order could not be verified; the default is that of
a public re-implementation (TextBrewer).
"""

from kdjax.methods import dtd_flsw
from kdjax.methods.base import Method
from kdjax.methods.terms import soft_teacher
from kdjax.supervision.adjustment import (
    probability_shift,
    shift_probabilities,
    smoothed_label,
)
from kdjax.supervision.memory import remembered
from kdjax.supervision.pipeline import Supervisor, TemperatureRule
from kdjax.supervision.revision import with_revision
from kdjax.supervision.temperature import by_confidence

REFERENCE = "Wen et al., Preparing Lessons, Neurocomputing 2021"


def build(
    *,
    spread: float,
    base: float = 10.0,
    adjustment: str = "shift_first",
    confusion: str = "flsw",
    similarity: str = "cosine",
    gamma: float = 1.0,
    epsilon: float = 0.1,
    lowest: float = 1.0,
    label_weight: float = 0.0,
    memory_decay: float | None = None,
    num_examples: int | None = None,
    eta: float | None = None,
) -> Method:
    """Softened teacher, adjusted where it is wrong, sharper on confusing samples.

    Args:
      spread: of the temperatures, >= 0; about base with "flsw", far less with "cwsm".
      base: the mean temperature, not below lowest.
      adjustment: "shift_first", "shift_last" or "lsr".
      confusion: "flsw" or "cwsm".
      similarity: of "flsw" alone: "cosine" of the logits, or of "probabilities".
      gamma: of "flsw", > 0.
      epsilon: of "lsr", from 0 to 1.
      lowest, label_weight, memory_decay, num_examples, eta: as in `dtd_flsw`.
    """
    rule = _temperature(confusion, similarity, base, spread, gamma, lowest)
    rule = remembered(rule, num_examples, memory_decay)
    supervisor = Supervisor(temperature=rule, **_stages(adjustment, epsilon))
    return soft_teacher("dtd_la", with_revision(supervisor, eta), label_weight)


def _temperature(
    confusion: str, similarity: str, base: float, spread: float, gamma, lowest
) -> TemperatureRule:
    if confusion == "flsw":
        return dtd_flsw.by_similarity("dtd_la", similarity, base, spread, gamma, lowest)
    if confusion != "cwsm":
        raise ValueError(
            f"dtd_la: confusion is {confusion!r}; expected 'flsw' or 'cwsm'."
        )
    if similarity != "cosine":
        raise ValueError(
            f"dtd_la: similarity is {similarity!r} with confusion 'cwsm', which does "
            "not compare with the teacher; expected confusion 'flsw', or no similarity."
        )
    return by_confidence(base, spread, lowest)


def _stages(adjustment: str, epsilon: float) -> dict[str, tuple]:
    stages = {
        "shift_first": {"logits": (probability_shift,)},
        "shift_last": {"target": (shift_probabilities,)},
        "lsr": {"target": (smoothed_label(epsilon),)},
    }
    if adjustment not in stages:
        raise ValueError(
            f"dtd_la: adjustment is {adjustment!r}; expected one of "
            f"{', '.join(stages)}."
        )
    return stages[adjustment]
