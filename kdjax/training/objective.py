"""Named terms to one scalar. The only place where a loss is averaged over the batch."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax.terms import Term
from kdjax.types import Views


def evaluate_terms(
    terms: tuple[Term, ...], views: Views, step: Array
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Sums coefficient times batch mean over the terms.

    The mean runs over the whole global batch: under `jit` with a sharded batch that is
    so on any number of devices.

    Returns:
      The objective and one metric per term, "loss/<name>", before its coefficient.
    """
    total, metrics = jnp.zeros((), jnp.float32), {}
    for term in terms:
        mean = jnp.mean(term.values(views))
        scheduled = callable(term.coefficient)
        coefficient = term.coefficient(step) if scheduled else term.coefficient
        total = total + coefficient * mean
        metrics[f"loss/{term.name}"] = mean
    return total, metrics
