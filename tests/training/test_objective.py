"""Terms to a scalar: coefficients, schedules, one mean over the batch."""

import jax.numpy as jnp
import pytest

from kdjax.methods.base import Term
from kdjax.training.objective import evaluate_terms

PER_SAMPLE = jnp.array([1.0, 2.0, 6.0])


def test_coefficient_times_batch_mean_and_the_metric_before_it():
    terms = (
        Term("a", 0.5, lambda inputs: PER_SAMPLE),
        Term("b", lambda step: 2.0 * step, lambda inputs: PER_SAMPLE + 1.0),
    )
    total, metrics = evaluate_terms(terms, None, jnp.float32(3))
    assert float(total) == pytest.approx(0.5 * 3 + 6 * 4)
    assert {k: float(v) for k, v in metrics.items()} == {"loss/a": 3, "loss/b": 4}
