"""What trainings must share, from configs as runs write them."""

import pathlib

import pytest

from kdjax.experiment import schema
from kdjax.reporting.training_settings import conditions, differences

CONFIG = {
    "total_epochs": 20.0,
    "total_steps": 0,
    "batch_size": 128,
    "seed": 3,
    "data": {"name": "cifar100", "noise": {"name": "none"}, "threads": 4, "mixup": 0.0},
}


def of(config):
    return conditions(config, pathlib.Path("runs/1"))


@pytest.mark.parametrize(
    "other, words",
    [
        ({}, []),
        ({"seed": 4, "log_every_steps": 7}, []),
        ({"data": CONFIG["data"] | {"threads": 9, "data_dir": "b", "keep": "c"}}, []),
        ({"total_epochs": 60.0}, ["60 epochs instead of 20"]),
        ({"total_steps": 9}, ["9 steps instead of 20 epochs"]),
        ({"batch_size": 64}, ["batch_size 64 instead of 128"]),
        ({"data": CONFIG["data"] | {"mixup": 0.2}}, ["data.mixup 0.2 instead of 0"]),
    ],
)
def test_differences(other, words):
    assert differences(of(CONFIG | other), of(CONFIG)) == words


def test_runs_of_earlier_versions_have_the_defaults():
    config = schema.resolved(schema.nested())
    keys = ("initial", "ema_decay", "batch_norm")
    keys += ("accumulation_steps", "stop_at_train_top1")
    before = {key: value for key, value in config.items() if key not in keys}
    assert not differences(of(before), of(config))


def test_a_config_that_cannot_be_read_is_like_no_other():
    assert differences(of({}), of(CONFIG)) == ["no config to compare"]
    assert differences(of({}), of({})) == []
