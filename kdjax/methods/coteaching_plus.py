"""Co-teaching+: two networks exchange small losses where they disagree; no teacher.

X. Yu, B. Han, J. Yao, G. Niu, I. W. Tsang, M. Sugiyama, "How does Disagreement Help
Generalization against Label Corruption?", ICML 2019 (arXiv:1901.04215). With a detector
of clean labels: T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021.

    D = samples in T on which the two networks predict different classes
    D not empty: Co-teaching on D, so S_n are int((1 - R(e)) |D|) samples
    D empty:     the mean of CE over T before step 5000, and 0 from there on

| symbol | argument        |
|--------|-----------------|
| tau    | noise_rate      |
| E_k    | gradual_epochs  |
| 5000   | agreement_steps |
| T      | run's selection |

The authors' settings: E_k 10 and Co-teaching on the whole batch for the first 5 epochs
on CIFAR-100, 20 on CIFAR-10; the second paper's: E_k 40 and none.

Departs from the paper: cross entropy is taken of the logits, where the authors' code
gives it softmax outputs; steps are counted one by one, where the codes multiply the
number of the epoch with that of the batch. T, all samples by default, is the second
paper's; a weight between 0 and 1 weighs in the mean. Where the count is 0 all of D is
kept, as in both codes. One optimizer for both networks, as in Co-teaching.
"""

import math

import jax.numpy as jnp

from kdjax import contracts
from kdjax.methods.base import Method
from kdjax.methods.coteaching import exchanged, kept_counts, least, peers, selected

REFERENCE = "Yu et al., How does Disagreement Help Generalization, ICML 2019"


def build(
    *,
    noise_rate: float,
    steps_per_epoch: float,
    gradual_epochs: int = 10,
    agreement_steps: int = 5000,
    warmup_epochs: float = 0.0,
) -> Method:
    """Cross entropy of each network over disputed samples of small loss in the other.

    Args:
      noise_rate, steps_per_epoch, gradual_epochs: as in `coteaching`, of the disputed.
      agreement_steps: before it, a batch without dispute is trained on as it is; from
        there on not at all. >= 0.
      warmup_epochs: before it, plain Co-teaching. >= 0.
    """
    where = "coteaching_plus"
    kept = kept_counts(where, noise_rate, gradual_epochs, steps_per_epoch)
    contracts.not_negative(where, "agreement_steps", agreement_steps)
    contracts.not_negative(where, "warmup_epochs", warmup_epochs)
    warmup_steps = math.ceil(warmup_epochs * steps_per_epoch)

    def weigh(inputs, loss):
        plain = exchanged(inputs, loss, kept)
        warm = inputs.step < warmup_steps
        disputed = _disputed(inputs, loss, kept, agreement_steps)
        pairs = zip(plain, disputed, strict=True)
        return tuple(jnp.where(warm, p, d) for p, d in pairs)

    return peers(weigh)


def _disputed(inputs, loss, kept, agreement_steps):
    """Weights where the networks disagree; where they never do, those of agreement."""
    predicted = jnp.argmax(inputs.student.member_logits, axis=-1)
    selection = selected(inputs)
    disputed = (predicted[:, 0] != predicted[:, 1]) & (selection > 0)
    total = jnp.sum(disputed, dtype=jnp.int32)
    count = kept(inputs.step, loss.shape[0])[total]
    undisputed = jnp.where(inputs.step < agreement_steps, selection, 0.0)

    def weight(other):
        small = least(loss[:, other], disputed, count)
        return jnp.where(total > 0, jnp.where(small, selection, 0.0), undisputed)

    return weight(1), weight(0)
