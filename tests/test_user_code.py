"""Errors of a user's own code: exit code 2, and the place in it."""

import errno
import pathlib
import re
import sys

import flax.linen as nn
import jax
import numpy as np
import pytest

from kdjax import user_code
from kdjax.__main__ import exit_code, main
from kdjax.contracts import InputError
from kdjax.data import arrays, npz
from kdjax.experiment.builders import guarded
from kdjax.models import create, from_linen

NETWORKS = """
import flax.linen as nn
import jax.numpy as jnp
import optax

from kdjax.models import Network, from_linen
from kdjax.types import Outputs


class Lookup(nn.Module):
    late: bool

    @nn.compact
    def __call__(self, images, train: bool):
        if not self.late or (train and not self.is_initializing()):
            {}["missing"]  # line 16
        return nn.Dense(4)(images.mean((1, 2)))


def lookup(num_classes):
    return from_linen(Lookup(False))


def lookup_in_training(num_classes):
    return from_linen(Lookup(True))


def build(num_classes):
    raise RuntimeError("no width")  # line 29


def logits(params, images):
    return images.reshape(len(images), -1) @ params["w"]


def init(key, images):
    return {"w": jnp.zeros((48, 4))}, {}


def train(params, stats, images, key):
    return Outputs(logits(params, images), {}), stats


def evaluate(params, stats, images):
    return Outputs(logits(params, images), {})


def bare_evaluate(num_classes):
    return Network(init, train, lambda p, s, x: logits(p, x))


def bare_train(num_classes):
    return Network(init, lambda p, s, x, key: logits(p, x), evaluate)


def bare_in_pair(num_classes):
    return Network(init, lambda p, s, x, key: (logits(p, x), s), evaluate)


def lost_statistics(num_classes):
    return Network(init, lambda *given: (train(*given)[0], {"n": 0}), evaluate)


def one_tree(num_classes):
    return Network(lambda key, images: init(key, images)[0], train, evaluate)


def rate(learning_rate):
    return optax.sgd(learning_rate)["rate"]  # line 69
"""
CONFIG = """
from ml_collections import ConfigDict

from kdjax.experiment import schema


def get_config(name):
    config = schema.base()
    config.model = ConfigDict({"name": name or "resnet8"})
    config.method = ConfigDict({"name": "ce"})
    config.data.name, config.data.padding, config.data.flip = "tiny.npz", 0, False
    config.data.train, config.data.test = "train", "test"
    config.batch_size, config.total_steps = 8, 1
    return config
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A directory with a config, networks of the user's and a data set."""
    root = tmp_path_factory.mktemp("own")
    (root / "own_networks.py").write_text(NETWORKS)
    (root / "own_config.py").write_text(CONFIG)
    images = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 3), np.uint8)
    pair = images, np.arange(16) % 4
    npz.save_npz(root / "tiny.npz", arrays.splits_of({"train": pair, "test": pair}))
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))
    sys.modules.pop("own_networks", None)


def train(root, name, *more):
    config = f"--config={root}/own_config.py:{name}"
    where = [f"--workdir={root}/{name.replace(':', '-')}", f"--data_dir={root}"]
    return main(["train", config, *where, "--devices=8", *more])


PLACES = {
    "lookup": r"config.model.*own_networks.py:16 in __call__: KeyError: 'missing'",
    "lookup_in_training": r"train: \S*own_networks.py:16 in __call__: KeyErr",
    "build": "config.model: .*own_networks.py:29 in build: RuntimeError: no width",
    "bare_evaluate": r"evaluate returned an array of shape .8, 4.; expected.*Outputs",
    "bare_train": r"train returned an array of shape .8, 4.; expected .Outputs, batch",
    "bare_in_pair": r"train returned .an array of shape .8, 4., dict.; expected",
    "lost_statistics": "batch_stats of the structure.*'n'.*expected that of",
    "one_tree": "init returned dict; expected .params, batch_stats.",
}


@pytest.mark.errors
@pytest.mark.parametrize("name", PLACES)
def test_networks_of_the_user(root, name, as_they_are, capsys):
    assert train(root, f"own_networks:{name}") == 2
    error = capsys.readouterr().err
    assert re.search(PLACES[name], error), error
    assert "Traceback" not in error


@pytest.mark.errors
def test_an_optimizer_of_the_user(root, as_they_are, capsys):
    optimizer = "--config.optimizer.name=own_networks:rate"
    assert train(root, "", optimizer) == 2
    error = capsys.readouterr().err
    assert "config.optimizer" in error and "own_networks.py:69 in rate" in error


@pytest.mark.errors
def test_a_module_that_python_cannot_read(root, as_they_are, capsys):
    (root / "own_torn.py").write_text("width = (3\n")
    assert train(root, "own_torn:build") == 2
    assert "own_torn.py:1" in capsys.readouterr().err


def test_a_bug_of_ours_stays_one(capsys):
    """Also where a test or a notebook, and not a user's function, called us."""
    with pytest.raises(AttributeError) as caught:
        create(None, num_classes=3)
    assert user_code.place_of(caught.value) == ""
    assert exit_code("kdjax", caught.value) is None
    with pytest.raises(AttributeError), user_code.named():
        create(None, num_classes=3)


class Broken(nn.Module):
    @nn.compact
    def __call__(self, images):
        return images.nothing


def test_from_python_it_is_an_error_of_input():
    place = r"test_user_code.py:\d+ in __call__: AttributeError"
    with pytest.raises(InputError, match=place):
        with user_code.named():
            from_linen(Broken()).init(jax.random.key(0), np.zeros((2, 4, 4, 3)))


def reads_a_table():
    return pathlib.Path("no-such-table.txt").read_text()


def test_a_file_that_the_users_code_misses_is_no_fault_of_the_disk():
    place = r"test_user_code.py:\d+ in reads_a_table: FileNotFoundError: .*no-such"
    with pytest.raises(InputError, match=f"config.model: .*{place}"):
        guarded("config.model", reads_a_table)
    with pytest.raises(FileNotFoundError) as caught:
        pathlib.Path("no-such-table.txt").read_text()  # not called by kdjax
    assert exit_code("kdjax", caught.value) == 4


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_none_of_the_users_code():
    with pytest.raises(OSError) as caught:
        guarded("config.model", full)
    assert exit_code("kdjax", caught.value) == 4


def test_installed_packages_are_not_the_users():
    """Of a package that is in no list it is the innermost place, if all else fails."""
    assert user_code._is_unknown(str(pathlib.Path(pytest.__file__))) is True
    assert user_code._is_unknown(str(pathlib.Path(nn.__file__))) is False
