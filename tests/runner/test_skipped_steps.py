"""The file of skipped steps: one process of many writes it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from kdjax.data.loaders.sampler import sample_positions
from kdjax.distributed import collectives
from kdjax.runner.skipped_steps import SkippedSteps

BATCH, EXAMPLES, SEED = 4, 32, 5


@pytest.mark.parametrize("is_primary", [True, False])
def test_the_first_process_alone_writes(is_primary, tmp_path, monkeypatch):
    monkeypatch.setattr(collectives, "is_primary", lambda: is_primary)
    train = SimpleNamespace(label=np.zeros(EXAMPLES))
    experiment = SimpleNamespace(seed=SEED, batch_size=BATCH, train=train)
    steps = SkippedSteps(experiment, tmp_path, 0)
    steps.record(3, {"kd": "loss"})
    steps.close()
    index, _ = sample_positions(SEED, 2, BATCH, EXAMPLES)
    row = {"step": 3, "skipped": {"kd": "loss"}, "samples": index.tolist()}
    files = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    assert files == ([row] if is_primary else [])
