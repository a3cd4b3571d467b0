"""Terms to a scalar: coefficients, schedules, one mean over the batch."""

import jax.numpy as jnp
import pytest

from kdjax.methods.base import Method, Term
from kdjax.training.objective import compute_loss
from kdjax.training.state import initial_memory
from kdjax.types import Batch, Outputs

PER_SAMPLE = jnp.array([1.0, 2.0, 6.0])
LOGITS = jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])


def loss_of(*terms, step=3.0, labels=(0, 1, 1)):
    zero = Term("zero", 0.0, lambda inputs: PER_SAMPLE)
    method = Method(terms=terms or (zero,))
    index = jnp.arange(3)
    batch = Batch(None, jnp.array(labels), index, jnp.zeros(3, jnp.int32), {})
    loss, (_, metrics) = compute_loss(
        method,
        Outputs(LOGITS, {}),
        None,
        batch,
        jnp.ones(3),
        jnp.float32(step),
        initial_memory(method),
    )
    return float(loss), {key: float(value) for key, value in metrics.items()}


def test_coefficient_times_batch_mean_and_the_metric_before_it():
    loss, metrics = loss_of(
        Term("a", 0.5, lambda inputs: PER_SAMPLE),
        Term("b", lambda step: 2.0 * step, lambda inputs: PER_SAMPLE + 1.0),
    )
    assert loss == metrics["loss"] == pytest.approx(0.5 * 3 + 6 * 4)
    assert (metrics["loss/a"], metrics["loss/b"]) == (3, 4)


def test_top1_is_of_the_batchs_own_labels():
    assert loss_of()[1]["top1"] == pytest.approx(2 / 3)
    assert loss_of(labels=(1, 0, 1))[1]["top1"] == 0
