"""Dynamic temperature by confusion: focal-loss style weights (FLSW).

T. Wen, S. Lai, X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better
Supervision", Neurocomputing 454, 2021 (arXiv:1911.07471): dynamic temperature
distillation (DTD).

    L = mean_x tau_x^2 KL(softmax(t / tau_x) || softmax(s / tau_x)) + label_weight CE
    tau_x = max(lowest, tau_0 + (mean_j w_j - w_x) beta)
    w = (1 - <s, t> / (||s|| ||t||))^gamma              similarity = "cosine"
    w = (1 - <softmax(s), softmax(t)>)^gamma            similarity = "probabilities"

| symbol | argument                                   |
|--------|--------------------------------------------|
| tau_0  | base                                       |
| beta   | spread                                     |
| gamma  | gamma                                      |
| -      | lowest, similarity, label_weight           |
| -      | memory_decay: tau_x is a mean over epochs  |

Departs from the paper: its text could not be opened, and the equations are those on
which two public re-implementations agree. Both forms of w are theirs; the floor is one
of them's, without which a temperature may become negative and train all the same (the
step logs `temperature/mean` and `temperature/floored`). The defaults could not be
verified: try gamma from 0.25 to 2 and spread from 0.5 to 4 times base. The memory and
the cross entropy, both off by default, are additions.
"""

from kdjax import contracts
from kdjax.supervision.dynamic import by_confusion, by_confusion_of_probabilities
from kdjax.supervision.memory import remembered
from kdjax.supervision.pipeline import Supervisor
from kdjax.terms import Method, hard_label, soft_logits

REFERENCE = "Wen et al., Preparing Lessons, Neurocomputing 2021"

_RULES = {"cosine": by_confusion, "probabilities": by_confusion_of_probabilities}


def build(
    *,
    base: float = 10.0,
    spread: float = 40.0,
    gamma: float = 1.0,
    lowest: float = 1.0,
    similarity: str = "cosine",
    label_weight: float = 0.0,
    memory_decay: float | None = None,
    num_examples: int | None = None,
) -> Method:
    """Softened teacher, sharper on the samples on which the student differs from it.

    Args:
      base: the mean temperature, not below lowest.
      spread: of the temperatures, >= 0.
      gamma: > 0.
      lowest: floor of the temperatures, > 0.
      similarity: "cosine" of the logits, or of "probabilities".
      label_weight: of the cross entropy with the label, >= 0; left out at 0.
      memory_decay: from 0 to 1, of each sample's running mean; None for no memory.
      num_examples: size of the training split; only the memory needs it.

    Raises:
      ValueError: a number is outside its range, or similarity is another word; the
        message names it.

    >>> build(base=4.0, spread=2.0).supervisor.temperature.lowest
    1.0
    """
    if similarity not in _RULES:
        raise ValueError(
            f"dtd_flsw: similarity is {similarity!r}; expected 'cosine' or "
            "'probabilities'."
        )
    rule = _RULES[similarity](base, spread, gamma, lowest)
    if memory_decay is not None:
        rule = remembered(rule, num_examples, memory_decay)
    terms = (soft_logits(1.0),)
    if label_weight != 0:
        contracts.positive("dtd_flsw", "label_weight", label_weight)
        terms = (hard_label(label_weight), *terms)
    return Method(terms=terms, supervisor=Supervisor(temperature=rule))
