"""Early-learning regularisation: stay near what the network said early; no teacher.

S. Liu, J. Niles-Weed, N. Razavian, C. Fernandez-Granda, "Early-Learning Regularization
Prevents Memorization of Noisy Labels", NeurIPS 2020 (arXiv:2007.00151). On the clean
part of a noisy set: T. Kim et al., "Winning Ticket in Noisy Image Classification",
2021.

    t_i <- beta t_i + (1 - beta) p_i / sum(p_i),   p = clip(softmax(s), 1e-4, 1 - 1e-4)
    L = CE(s, y) + lambda log(1 - <t_i, p_i>)

| symbol | argument |
|--------|----------|
| beta   | beta     |
| lambda | weight   |

The second paper's settings: CIFAR-10 beta 0.7, lambda 3 (asymmetric noise and ResNet-18
0.9 and 1); CIFAR-100 beta 0.9, lambda 7.

Departs from the paper: nothing in the equations. As in the authors' code t starts at 0,
is renewed before it is used, and the gradient runs through the present p only. Where a
batch crosses the border of an epoch a sample may stand in it twice: then the later
place, that of the later epoch, is remembered and serves both. The run's selection, if
it has one, says which samples are averaged over; all that are seen are remembered.
"""

import jax.numpy as jnp
from jaxtyping import Array

from kdjax import contracts
from kdjax.losses import robust
from kdjax.methods.base import Memory, Method, Term, chosen, hard_label

REFERENCE = "Liu et al., Early-Learning Regularization, NeurIPS 2020"


def build(
    *, num_examples: int, num_classes: int, beta: float = 0.7, weight: float = 3.0
) -> Method:
    """Cross entropy and the regulariser over the selected samples.

    Args:
      num_examples: size of the training split.
      num_classes: of the labels; with num_examples, the size of the memory in float32.
      beta: share of the old in what is remembered, from 0 to 1.
      weight: of the regulariser, > 0.

    Raises:
      ValueError: a number is outside its range; the message names it.

    >>> method = build(num_examples=5, num_classes=3)
    >>> [term.name for term in method.terms], method.memory.init().shape
    (['hard_label', 'early_learning'], (5, 3))
    """
    contracts.fraction("elr", "beta", beta)
    contracts.positive("elr", "weight", weight)

    def init():
        return jnp.zeros((num_examples, num_classes), jnp.float32)

    def update(table, traces):
        probabilities = robust.clipped_probabilities(traces.student_logits)
        old = table[traces.index]
        remembered = beta * old + (1.0 - beta) * probabilities
        # Equal rows for equal indices, so it is all the same which is written last.
        remembered = remembered[_last_of_its_kind(traces.index)]
        return remembered, table.at[traces.index].set(remembered)

    def values(inputs):
        logits = inputs.student.logits
        return robust.early_learning_regularization(logits, inputs.remembered)

    regulariser = Term("early_learning", weight, values)
    return Method(
        terms=(chosen(hard_label(1.0)), chosen(regulariser)),
        memory=Memory(init, update),
    )


def _last_of_its_kind(index: Array) -> Array:
    """For each place in the batch, the last place that holds the same sample."""
    same = index[:, None] == index[None, :]
    places = jnp.arange(len(index))
    return jnp.max(jnp.where(same, places[None, :], -1), axis=1)
