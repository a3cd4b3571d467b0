"""Dynamic temperature by confusion: focal-loss style weights (FLSW).

T. Wen, S. Lai, X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better
Supervision", Neurocomputing 454, 2021 (arXiv:1911.07471): dynamic temperature
distillation (DTD).

    L = mean_x tau_x^2 KL(R(softmax(t / tau_x)) || softmax(s / tau_x)) + label_weight CE
    tau_x = max(lowest, tau_0 + (mean_j w_j - w_x) beta)
    w = (1 - <s, t> / (||s|| ||t||))^gamma              similarity = "cosine"
    w = (1 - <softmax(s), softmax(t)>)^gamma            similarity = "probabilities"
    R(q) = b q + (1 - b) e_y,   b = eta / (max_k q_k - q_y + 1);   R(q) = q without eta

| symbol | argument                                   |
|--------|--------------------------------------------|
| tau_0  | base                                       |
| beta   | spread                                     |
| gamma  | gamma                                      |
| -      | lowest, similarity, label_weight           |
| -      | memory_decay: tau_x is a mean over epochs  |
| R, eta | eta: label revision                        |

The label that R mixes in is not softened while the student is, so losses and gradients
grow with tau_x: in the worked example of the tests, with the defaults and eta 0.8, the
losses are 0.51, 20.5 and 3.1 instead of 1.00, 0.29 and 0.47. Keep base low or clip the
gradients (`config.optimizer.clip_norm`).

Departs from the paper: its text could not be opened, and the equations are those on
which two public re-implementations agree. Both forms of w are theirs; the floor is one
of them's, without which a temperature may become negative and train all the same (the
step logs `temperature/mean` and `temperature/floored`). The defaults could not be
verified: try gamma from 0.25 to 2 and spread from 0.5 to 4 times base. The memory, the
cross entropy and R, all off by default, are additions; R is the label revision of Lan
et al. 2024 (arXiv:2404.03693). The temperature of its b could not be verified; with b
of the softened teacher, as here, the label is on top at every tau_x. Where samples are
selected for the teacher, the mean of w is still over the batch.
"""

from kdjax.methods.base import Method
from kdjax.methods.terms import soft_teacher
from kdjax.supervision.memory import remembered
from kdjax.supervision.pipeline import Supervisor, TemperatureRule
from kdjax.supervision.revision import with_revision
from kdjax.supervision.temperature import by_confusion, by_confusion_of_probabilities

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
    eta: float | None = None,
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
      eta: of label revision, above 0 and below 1; None for none.
    """
    rule = by_similarity("dtd_flsw", similarity, base, spread, gamma, lowest)
    rule = remembered(rule, num_examples, memory_decay)
    supervisor = with_revision(Supervisor(temperature=rule), eta)
    return soft_teacher("dtd_flsw", supervisor, label_weight)


def by_similarity(
    where: str, similarity: str, base: float, spread: float, gamma: float, lowest: float
) -> TemperatureRule:
    """The temperature rule; `where` names the method in errors."""
    if similarity not in _RULES:
        raise ValueError(
            f"{where}: similarity is {similarity!r}; expected 'cosine' or "
            "'probabilities'."
        )
    return _RULES[similarity](base, spread, gamma, lowest)
