"""Co-teaching: two networks select each other's samples by their loss; no teacher.

B. Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely
Noisy Labels", NeurIPS 2018 (arXiv:1804.06872). With a detector of clean labels: T. Kim
et al., "Winning Ticket in Noisy Image Classification", 2021.

    S_n = the int((1 - R(e)) b) samples of the batch with the least loss of network n
    L_1 = mean of CE(s_1, y) over S_2 and T,   L_2 = mean of CE(s_2, y) over S_1 and T
    R = linspace(0, tau, T_k) over the first T_k epochs, then tau;   L = L_1 + L_2

| symbol | argument         |
|--------|------------------|
| tau    | noise_rate       |
| T_k    | gradual_epochs   |
| T      | run's selection  |

The second paper's settings: T_k 40, tau the rate of the noise.

Departs from the paper: T, all samples by default, is the second paper's; a weight
between 0 and 1 weighs in the mean. Where nothing is left in S and T the loss is 0;
where the count is 0 all samples are kept, as in the second paper's code. Both networks
share one optimizer: the same for SGD and Adam, but clip_norm would see both gradients.
"""

import math
import numbers
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from kdjax import contracts, losses
from kdjax.methods.base import Method, Term
from kdjax.methods.denominators import normalise_weights
from kdjax.types import LossInputs

REFERENCE = "Han et al., Co-teaching, NeurIPS 2018"

NETWORKS = 2
Weigh = Callable[[LossInputs, Float[Array, "batch networks"]], tuple[Array, Array]]


def build(
    *, noise_rate: float, steps_per_epoch: float, gradual_epochs: int = 40
) -> Method:
    """Cross entropy of each network over samples of small loss in the other.

    Args:
      noise_rate: share of the batch that is left out in the end, from 0 to 1.
      steps_per_epoch: of the run; need not be whole.
      gradual_epochs: how many epochs it takes until then, >= 0.
    """
    kept = kept_counts("coteaching", noise_rate, gradual_epochs, steps_per_epoch)

    def weigh(inputs, loss):
        return exchanged(inputs, loss, kept)

    return peers(weigh)


def peers(weigh: Weigh) -> Method:
    """Two networks, a term each, over the samples that `weigh` gives it.

    Args:
      weigh: (inputs, losses [batch, 2]) -> weights [batch] of the two networks' terms.
        Nothing in it has a gradient.
    """

    def term(number):
        def values(inputs):
            members = inputs.student.member_logits
            loss = [losses.cross_entropy(m, inputs.labels) for m in _columns(members)]
            # Which samples are selected is a matter of order: no gradient crosses over.
            weights = weigh(inputs, jnp.stack(loss, axis=1))
            return normalise_weights(weights[number]) * loss[number]

        return Term(f"member{number}", 1.0, values)

    return Method(terms=tuple(map(term, range(NETWORKS))), networks=NETWORKS)


def exchanged(
    inputs: LossInputs, loss: Float[Array, "batch networks"], kept: Callable
) -> tuple[Array, Array]:
    """Weights of Co-teaching: the other's small losses, then the run's selection."""
    batch = loss.shape[0]
    count = kept(inputs.step, batch)[batch]
    small = [least(column, jnp.ones(batch, bool), count) for column in _columns(loss)]
    selection = selected(inputs)
    return jnp.where(small[1], selection, 0.0), jnp.where(small[0], selection, 0.0)


def selected(inputs: LossInputs) -> Float[Array, " batch"]:
    """The run's selection, 1 where it has none."""
    if inputs.selection is None:
        return jnp.ones(inputs.labels.shape, jnp.float32)
    return inputs.selection


def least(
    loss: Float[Array, " batch"], among: Bool[Array, " batch"], count: Array
) -> Bool[Array, " batch"]:
    """True for the `count` samples with the least loss of those in `among`.

    Of equal losses the earlier in the batch; NaN comes last.
    """
    order = jnp.lexsort((loss, jnp.where(among, 0, 1)))
    return (jnp.argsort(order) < count) & among


def kept_counts(
    where: str, noise_rate: float, gradual_epochs: int, steps_per_epoch: float
) -> Callable:
    """How many small losses are kept: (step, batch) -> int32 [batch + 1], of 0, 1, ...

    Counted in float64 before compilation: int((1 - R) n) of float32 may be one short.
    """
    contracts.fraction(where, "noise_rate", noise_rate)
    contracts.positive(where, "steps_per_epoch", steps_per_epoch)
    whole = isinstance(gradual_epochs, numbers.Integral)
    if not whole or isinstance(gradual_epochs, bool) or gradual_epochs < 0:
        raise ValueError(
            f"{where}: gradual_epochs is {gradual_epochs!r}; expected a whole number "
            ">= 0."
        )
    left_out = np.append(np.linspace(0, noise_rate, gradual_epochs), noise_rate)
    starts = np.array(
        [math.ceil(e * steps_per_epoch) for e in range(1, gradual_epochs + 1)], np.int32
    )

    def kept(step, batch):
        of = np.arange(batch + 1)
        counts = ((1 - left_out[:, None]) * of).astype(np.int32)
        counts = np.where(counts == 0, of, counts).astype(np.int32)
        epoch = jnp.sum(step >= jnp.asarray(starts), dtype=jnp.int32)
        return jnp.asarray(counts)[epoch]

    return kept


def _columns(array: Array) -> tuple[Array, ...]:
    return tuple(array[:, n] for n in range(NETWORKS))
