"""Several teachers combined, from each one's own logits (`Signals.members`).

The paper distils from ensembles of teachers without saying how they are joined; its
authors' code adds their logits: T. Kim, J. Oh, N. Kim, S. Cho, S.-Y. Yun, "Comparing
Kullback-Leibler Divergence and Mean Squared Error Loss in Knowledge Distillation",
IJCAI 2021 (arXiv:2105.08919).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.numerics import Number, soften
from kdjax.supervision.pipeline import TargetRule, reads
from kdjax.types import Signals


@reads()
def mean_of_logits(signals: Signals) -> Float[Array, "batch classes"]:
    """Logits rule: z = 1/M sum_i z_i, the normalised geometric mean of the teachers.

    Raises:
      ValueError: there is a single teacher.
    """
    return jnp.mean(_members("mean_of_logits", signals), axis=1)


@reads()
def sum_of_logits(signals: Signals) -> Float[Array, "batch classes"]:
    """Logits rule: z = sum_i z_i, as in the code of arXiv:2105.08919.

    The target at temperature tau is that of the mean at tau / M; a squared error asks
    for logits M times as large. Errors as `mean_of_logits`.
    """
    return jnp.sum(_members("sum_of_logits", signals), axis=1)


def mean_of_probabilities(temperature: Number) -> TargetRule:
    """Target rule: p = 1/M sum_i softmax(z_i / tau), in place of the target so far.

    A target rule does not see the temperature: give it that of the supervisor's `fixed`
    rule. Rules on logits have no effect on this target, which is of the teachers' own.

    Infinity makes the target uniform.
    """
    where = "mean_of_probabilities"
    contracts.shapes(where, temperature=(temperature, ""))
    contracts.positive(where, "temperature", temperature, infinity=True)

    @reads()
    def rule(target: Array, signals: Signals) -> Array:
        del target
        tau = jnp.full((signals.labels.shape[0], 1), temperature, jnp.float32)

        def softened(logits):
            return jax.nn.softmax(soften(logits, tau))

        members = _members(where, signals)
        return jnp.mean(jax.vmap(softened, in_axes=1, out_axes=1)(members), axis=1)

    rule.temperature = temperature
    return rule


def _members(where: str, signals: Signals) -> Float[Array, "batch teachers classes"]:
    if signals.members is None:
        raise ValueError(
            f"{where}: signals.members is None: the teacher is a single network; "
            "expected an ensemble of two or more. Give several teachers, or use a "
            "method for one, such as kd."
        )
    return signals.members
