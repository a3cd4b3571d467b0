"""Methods of two stages: what the second one takes over of the first."""

import jax
import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.runner import run
from tests.runner.test_reused import config_of, loaded

FT = {"name": "ft"}


@pytest.fixture(scope="module")
def stages(data_dir, tmp_path_factory):
    """A teacher, and the first stages of FT and AB."""
    root = tmp_path_factory.mktemp("stages")
    teacher = str(root / "teacher")
    run.run(config_of(data_dir, {"name": "ce"}, width=4), root / "teacher")
    for name in ("ft_paraphraser", "ab"):
        run.run(config_of(data_dir, {"name": name}, teacher), root / name)
    return root


def second(data_dir, stages, method, first, parts):
    config = config_of(data_dir, method, str(stages / "teacher"))
    config.initial.workdir, config.initial.parts = str(stages / first), parts
    return config


def paraphraser(workdir, name):
    step = loaded(workdir)[1]["step"]
    directory = workdir / "checkpoints"
    return checkpoints.read_connectors(directory, step, name)["paraphraser"]


def test_factor_transfer_keeps_the_paraphraser_bit_for_bit(stages, data_dir, tmp_path):
    config = second(data_dir, stages, FT, "ft_paraphraser", "connectors")
    run.run(config, tmp_path / "ft")
    first = paraphraser(stages / "ft_paraphraser", "ft_paraphraser")
    jax.tree.map(
        np.testing.assert_array_equal, paraphraser(tmp_path / "ft", "ft"), first
    )


def test_a_paraphraser_that_nobody_trained_is_refused(stages, data_dir):
    config = config_of(data_dir, FT, str(stages / "teacher"))
    with pytest.raises(InputError, match="ft has a frozen paraphraser"):
        build(config)
    config = second(data_dir, stages, FT | {"k": 0.25}, "ft_paraphraser", "connectors")
    with pytest.raises(
        InputError, match="connector 'paraphraser' is not the one of ft"
    ):
        run.run(config, stages / "other")


def test_labels_go_on_from_the_boundaries(stages, data_dir, tmp_path):
    config = second(data_dir, stages, {"name": "ce"}, "ab", "weights")
    config.schedule.learning_rate = 0.0
    config.optimizer.weight_decay = 0.0
    run.run(config, tmp_path / "ce")
    both = [loaded(path)[0].variables[0] for path in (stages / "ab", tmp_path / "ce")]
    jax.tree.map(np.testing.assert_array_equal, *both)
