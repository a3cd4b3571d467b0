"""How `evaluate` scores a run's teacher."""

import jax
import numpy as np
import pytest

from kdjax.runner.evaluate import score_teacher
from kdjax.training import evaluator, sharding
from tests.networks import linear
from tests.training.test_evaluator import CLASSES, normalise, split_of


def test_the_teacher_is_scored_on_samples_and_not_on_padding():
    network = linear(CLASSES)
    variables = network.init(jax.random.key(0), np.zeros((1, 2, 2, 3), np.float32))
    split = split_of(37)
    logits = network.evaluate(*variables, normalise(split.image)).logits
    right = np.argmax(np.asarray(logits), -1) == split.label
    assert 0 < right.sum() < 37
    mesh = sharding.make_mesh(jax.devices()[:8])
    batches = evaluator.evaluation_rows(split, 16, mesh)
    placed = sharding.place_replicated(variables, mesh)
    evaluator.add_teacher(network, placed, normalise, batches)
    row = score_teacher(batches)
    assert row["count"] == 37
    assert row["top1"] == pytest.approx(100 * right.mean())
