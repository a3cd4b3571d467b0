"""Methods of two stages: what the second one takes over of the first."""

import shutil

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.experiment.initial import load_initial
from kdjax.runner import run
from tests.runner.test_reused import config_of, loaded

FT = {"name": "ft"}
# tests/runner/test_two_stages.py is not long.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("own_networks")]


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


def test_a_run_goes_on_with_the_paraphraser_that_it_began_with(
    stages, data_dir, tmp_path
):
    """The two first stages have the same student's weights, and other connectors."""
    firsts = [tmp_path / name for name in ("first", "other")]
    for rate, workdir in zip((1.0, 2.0), firsts, strict=True):
        method = {"name": "ft_paraphraser", "connector_rate": rate}
        run.run(config_of(data_dir, method, str(stages / "teacher")), workdir)
    section = {"student": "", "checkpoint": "latest", "parts": "connectors"}
    data = loaded(firsts[0])[1]["data"]
    digests = [
        load_initial(section | {"workdir": str(workdir)}, data).identity["digest"]
        for workdir in firsts
    ]
    weights = [loaded(workdir)[0].identity["digest"] for workdir in firsts]
    assert weights[0] == weights[1] and digests[0] != digests[1]
    config = second(data_dir, stages, FT, "ft_paraphraser", "connectors")
    config.initial.workdir = str(tmp_path / "there")
    shutil.copytree(firsts[0], tmp_path / "there")
    run.run(config, tmp_path / "ft")
    other = ConfigDict(config)
    other.initial.workdir = str(firsts[0])
    run.run(other, tmp_path / "ft")
    other.initial.workdir = str(firsts[1])
    with pytest.raises(InputError, match=f"with initial digest {digests[0]}"):
        run.run(other, tmp_path / "ft")
    (tmp_path / "ft" / "summary.json").unlink()
    shutil.rmtree(tmp_path / "there")
    shutil.copytree(firsts[1], tmp_path / "there")
    with pytest.raises(InputError, match=f"with initial digest {digests[0]}"):
        run.run(config, tmp_path / "ft")


@pytest.mark.parametrize(
    "first, parts", [("ab", "weights"), ("teacher", "all"), ("teacher", "weights")]
)
def test_weights_alone_keep_the_digest_of_weights(stages, first, parts):
    trained, meta = loaded(stages / first)
    section = {"workdir": str(stages / first), "student": "", "checkpoint": "latest"}
    initial = load_initial(section | {"parts": parts}, meta["data"])
    assert initial.identity == trained.identity


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
