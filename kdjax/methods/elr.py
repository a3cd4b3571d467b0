"""Early-learning regularisation: stay near early predictions; no teacher.

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
prediction is remembered and serves both. The run's selection, if it has one, says which
samples are averaged over; all are remembered.
"""

import jax.numpy as jnp
from jaxtyping import Array

from kdjax import contracts
from kdjax.losses import robust
from kdjax.methods.base import Memory, Method, Term
from kdjax.methods.terms import hard_label, on_selected

REFERENCE = "Liu et al., Early-Learning Regularization, NeurIPS 2020"


def build(
    *, num_examples: int, num_classes: int, beta: float = 0.7, weight: float = 3.0
) -> Method:
    """Cross entropy and the regulariser over the selected samples.

    Args:
      num_examples: size of the training split.
      num_classes: of the labels; with num_examples, the size of the memory in float32.
      beta: weight of the old value in what is remembered, from 0 to 1.
      weight: of the regulariser, > 0.
    """
    contracts.fraction("elr", "beta", beta)
    contracts.positive("elr", "weight", weight)

    def init():
        return jnp.zeros((num_examples, num_classes), jnp.float32)

    def update(table, inputs):
        probabilities = robust.clipped_probabilities(inputs.student.logits)
        old = table[inputs.index]
        remembered = beta * old + (1.0 - beta) * probabilities
        # Equal rows for equal indices, so the order of writing does not matter.
        remembered = remembered[_last_position(inputs.index)]
        return remembered, table.at[inputs.index].set(remembered)

    def values(inputs):
        logits = inputs.student.logits
        return robust.early_learning_regularization(logits, inputs.remembered)

    regulariser = Term("early_learning", weight, values, frozenset())
    return Method(
        terms=(on_selected(hard_label(1.0)), on_selected(regulariser)),
        memory=Memory(init, update, reads=frozenset({"index"})),
    )


def _last_position(index: Array) -> Array:
    """For each position in the batch, the last one that holds the same sample."""
    same = index[:, None] == index[None, :]
    return jnp.max(jnp.where(same, jnp.arange(len(index))[None, :], -1), axis=1)
