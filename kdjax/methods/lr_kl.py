"""Label revision in the softened target of knowledge distillation.

W. Lan, Y.-m. Cheung, Q. Xu, B. Liu, Z. Hu, M. Li, Z. Chen, "Improve Knowledge
Distillation via Label Revision and Data Selection", 2024 (arXiv:2404.03693).

    L = gamma CE(s, y) + alpha tau^2 KL(p || softmax(s / tau))
    p = beta softmax(t / tau) + (1 - beta) e_y
    beta = eta / (max_k q_k - q_y + 1),   q = softmax(t)

| symbol | argument                                    |
|--------|---------------------------------------------|
| gamma  | gamma                                       |
| alpha  | alpha                                       |
| tau    | temperature                                 |
| eta    | eta                                         |
| q      | softmax(t / tau) with softened              |
| -      | only_wrong: p is revised on wrong teachers' |

Departs from the paper: p and beta are the paper's, and every sample is revised as its
equation says; that p takes the target's place in Hinton's loss is a choice made here,
as are the temperature of q and the defaults (gamma, alpha and tau are RepDistiller's).
"""

from kdjax import contracts
from kdjax.methods.base import Method
from kdjax.methods.terms import hard_label, soft_target
from kdjax.supervision.pipeline import Supervisor, fixed
from kdjax.supervision.revision import label_revision, where_wrong

REFERENCE = "Lan et al., Label Revision and Data Selection, 2024"


def build(
    *,
    gamma: float = 0.1,
    alpha: float = 0.9,
    temperature: float = 4.0,
    eta: float = 0.8,
    softened: bool = False,
    only_wrong: bool = False,
) -> Method:
    """Cross entropy and the revised, softened teacher.

    Args:
      gamma: of the cross entropy, >= 0; at 0 the part is left out.
      alpha: of the teacher, > 0.
      temperature: finite, > 0; below 1 only with softened.
      eta: above 0 and below 1; near 1 revises least.
      softened: takes beta of the softened teacher instead of temperature 1.
      only_wrong: leaves the target as it is where the teacher is right.
    """
    contracts.not_negative("lr_kl", "gamma", gamma)
    contracts.positive("lr_kl", "alpha", alpha)
    contracts.positive("lr_kl", "temperature", temperature)
    contracts.flag("lr_kl", "softened", softened)
    contracts.flag("lr_kl", "only_wrong", only_wrong)
    if temperature < 1 and not softened:
        raise ValueError(
            f"lr_kl: temperature is {temperature:g}; expected 1 or more, for below 1 a "
            "beta of temperature 1 need not put the label on top. Set softened=True."
        )
    rule = label_revision(eta, softened=softened)
    supervisor = Supervisor(
        temperature=fixed(temperature),
        target=(where_wrong(rule) if only_wrong else rule,),
    )
    labels = (hard_label(gamma),) if gamma else ()
    return Method(terms=(*labels, soft_target(alpha)), supervisor=supervisor)
