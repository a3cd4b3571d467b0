"""A bucket at 127.0.0.1, with a data set in it."""

import numpy as np
import pytest

from kdjax import paths
from kdjax.distributed import devices
from kdjax.paths import files
from kdjax.runner import lease
from tests.buckets import emulator

CONFIG = """
from ml_collections import ConfigDict
from kdjax.experiment import schema

def get_config(arg=""):
    config = schema.base()
    config.data.name, config.data.train, config.data.test = "t.npz", "train", "test"
    config.data.mean, config.data.std = (0.5,), (0.25,)
    config.data.padding, config.data.flip = 0, False
    config.batch_size, config.total_epochs = 16, 4.0
    config.evaluation.batch_size, config.log_every_steps = 16, 1
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.method = ConfigDict({"name": "ce"})
    return config
"""


@pytest.fixture(scope="session")
def server():
    """gs://NAME, with t.npz in it; TensorStore reads its address once a process."""
    random, label = np.random.default_rng(0), np.arange(64, dtype=np.int32) % 4
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_label"] = label
        arrays[f"{split}_image"] = random.integers(0, 256, (64, 8, 8, 1), np.uint8)
    with pytest.MonkeyPatch.context() as patch, emulator.bucket(patch) as root:
        with files.written(paths.parse(f"{root}/data/t.npz", "data")) as part:
            np.savez(part, **arrays)
        yield root


@pytest.fixture(scope="module")
def bucket(server, tmp_path_factory):
    """The same; the config lies in the current directory, and leases expire soon."""
    directory = tmp_path_factory.mktemp("here")
    (directory / "config.py").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr(devices, "configure", lambda *_: 8)
        patch.setattr(lease, "BEAT", 0.1)
        patch.setattr(lease, "EXPIRY", 1.0)
        yield server


@pytest.fixture
def where(bucket, request):
    """A directory of the test's own."""
    return paths.parse(f"{bucket}/{request.node.name}", "--workdir")
