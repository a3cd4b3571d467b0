"""What a long run is refused for before anything of it is trained."""

import pathlib
import subprocess
import sys

import pytest
from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.runner import run
from tests.experiment import configs

WHERE = pathlib.Path("/runs")


def config_of(**changes) -> ConfigDict:
    """A config of two parts whose last one has these sections."""
    config = configs.teacher("nowhere")
    config.stages = ConfigDict({"first": {}, "last": changes})
    config.order = ("first", "last")
    return config


KD = {"name": "kd", "alpha": 1.0, "temperature": 4.0}
WRONG = {
    "method.alpha": {"method": {"name": "kd", "alpha": 2.0, "temperature": 4.0}},
    "method.temprature": {"method": {"name": "kd", "alpha": 1.0, "temprature": 4.0}},
    "method.name": {"method": {"name": "kdd"}},
    "elr has what the data set says": {"method": {"name": "elr", "num_classes": 3}},
    "model.name": {"model": {"name": "wrn_16_200"}},
    "selection.detektor": {"selection": {"name": "detector", "detektor": "clk"}},
    "selection.name": {"selection": {"name": "influenza"}},
    "schedule.name": {"schedule": {"name": "cosinus"}},
    "optimizer.beta": {"optimizer": {"name": "sgd", "beta": 1.0}},
    "optimizer.clip_norm": {"optimizer": {"name": "lars", "clip_norm": 1.0}},
    "optimizer.b2": {"optimizer": {"name": "lamb", "b2": 1.0}},
    "optimizer: lamb: eps is": {"optimizer": {"name": "lamb", "eps": 0.0}},
    "optimizer.name: optimizer: 'nowhere:to'": {"optimizer": {"name": "nowhere:to"}},
    "optimizer.b3 is not a parameter": {"optimizer": {"name": "optax:lion", "b3": 0.9}},
    "schedule.power": {
        "schedule": {"name": "polynomial", "learning_rate": 0.1, "power": 0.0}
    },
    "schedule.warmup_epochs is not a parameter of one_cycle": {
        "schedule": {"name": "one_cycle", "learning_rate": 0.1, "warmup_epochs": 1.0}
    },
    "accumulation_steps": {"accumulation_steps": 3},
    "ema_decay": {"ema_decay": 1.0},
    "noise.rates": {"data": {"noise": {"name": "symmetric", "rates": 0.2}}},
    "total_epochs": {"total_epochs": 0.0},
    "batch_size": {"batch_size": 0},
    "students.a b": {"students": {"a b": {"method": {"name": "ce"}}}},
    "select.detector": {
        "select": {"name": "detector", "detector": "fein", "proxies": "stage:first"}
    },
}


# What builders and rules refuse by themselves, with their own words.
VALUES = {
    "eta is 2": {"method": {"name": "lr_mse", "eta": 2.0}},
    "alpha is -1": {"method": {"name": "dkd", "alpha": -1.0}},
    "similarity is 'cosin'": {
        "method": {"name": "dtd_flsw", "base": 4.0, "similarity": "cosin"}
    },
    "supervisor: this method has no temperature": {
        "method": {"name": "mse", "supervisor": {"name": "dtd_flsw", "base": 4.0}}
    },
    "supervisor: the method attached has no rule": {
        "method": KD | {"supervisor": {"name": "mkl"}}
    },
    "selection: .*keep_ratio is 2": {
        "method": KD,
        "selection": {"name": "influence", "first_epoch": 1.0, "keep_ratio": 2.0},
    },
    "selection.parameters: .*clustering is 'kmean'": {
        "selection": {
            "name": "detector",
            "detector": "fine",
            "first_epoch": 1.0,
            "parameters": {"clustering": "kmean"},
        }
    },
    "parameters.basis is not a parameter": {
        "select": {
            "name": "detector",
            "detector": "fine",
            "proxies": "stage:first",
            "parameters": {"basis": 1},
        }
    },
    "parameters: same: rounds is 0": {
        "select": {
            "name": "detector",
            "detector": "same",
            "proxies": "stage:first",
            "parameters": {"rounds": 0},
        }
    },
    "select: .*keep_ratio is 2": {
        "select": {
            "name": "influence",
            "reference": "stage:first",
            "estimator": "label_influence",
            "keep_ratio": 2.0,
        }
    },
}


@pytest.mark.parametrize("what", WRONG)
def test_the_last_part_is_checked_before_the_first_one_trains(what):
    with pytest.raises(InputError, match=r"^stage last: config\."):
        run.check(config_of(**WRONG[what]), WHERE)


@pytest.mark.parametrize("what", VALUES)
def test_values_are_checked_by_whoever_knows_them(what):
    with pytest.raises(InputError, match=rf"^stage last: config\..*{what}"):
        run.check(config_of(**VALUES[what]), WHERE)


def test_what_the_data_decide_is_left_to_the_run():
    """A teacher that is not there yet, images of any size, a network with weights."""
    config = config_of(
        teacher={"workdir": "stage:first"},
        model={"name": "tests.networks:not_there"},
        method={"name": "elr"},
        selection={"name": "file", "path": "stage:first"},
    )
    run.check(config, WHERE)


def test_checking_leaves_the_devices_alone():
    """Their number is chosen after the config was read, and only once."""
    code = (
        "import pathlib; from jax._src import xla_bridge; from kdjax.runner import run;"
        "from kdjax.experiment.overrides import load_config; "
        "config = load_config('configs/fashion_mnist/alphas.py', []); "
        "run.check(config, pathlib.Path('x')); "
        "assert not xla_bridge._backends"
    )
    root = pathlib.Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
