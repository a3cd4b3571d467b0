"""Terms to a scalar: coefficients, schedules, one mean over the batch."""

import jax.numpy as jnp
import pytest

from kdjax.methods import METHODS
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


@pytest.mark.parametrize("shape", [(3, 3), (3, 1), ()])
def test_values_of_another_shape_than_one_a_sample_are_refused(shape):
    """As of a sum that kept its axis, minus one that did not."""
    stray = Term("hint", 1.0, lambda inputs: jnp.zeros(shape))
    with pytest.raises(ValueError, match=r"the term 'hint' have shape .*one axis"):
        loss_of(stray)


def test_top1_is_of_the_batchs_own_labels():
    assert loss_of()[1]["top1"] == pytest.approx(2 / 3)
    assert loss_of(labels=(1, 0, 1))[1]["top1"] == 0


# Of the classes [1, 1, 0, 2]: the second and the last label are not the teacher's.
TEACHER = jnp.array(
    [[0.0, 3.0, 1.0], [1.0, 4.0, 3.0], [3.0, 2.0, 0.0], [0.5, 0.0, 0.6]]
)


@pytest.mark.parametrize("name", ["ka_ps", "ka_lsr", "lr_kl", "lr_mse"])
def test_rules_report_the_teachers_mistakes_and_the_targets_that_they_change(name):
    given = {"num_classes": 3} if name == "lr_mse" else {}
    metrics = supervised(METHODS[name].build(**given), labels=[1, 2, 0, 0])
    assert metrics["teacher/top1"] == 0.5
    assert metrics["target/changed"] == 0.5


def test_changes_at_a_temperature_where_all_probabilities_round_to_one_number():
    metrics = supervised(METHODS["ka_ps"].build(temperature=1e9), labels=[1, 2, 0, 2])
    assert metrics["teacher/top1"] == 0.75
    assert metrics["target/changed"] == 0.25


def test_a_method_without_such_rules_reports_none():
    metrics = supervised(METHODS["kd"].build(alpha=1.0, temperature=4.0), [1, 2, 0, 2])
    assert set(metrics) == {"loss", "top1", "loss/soft_logits"}


def supervised(method, labels):
    index = jnp.arange(4)
    batch = Batch(None, jnp.array(labels), index, jnp.zeros(4, jnp.int32), {})
    _, (_, metrics) = compute_loss(
        method,
        Outputs(jnp.zeros((4, 3)), {}),
        Outputs(TEACHER, {}),
        batch,
        jnp.ones(4),
        jnp.int32(0),
        initial_memory(method),
    )
    return metrics
