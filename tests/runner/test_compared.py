"""With which network a student's gains are computed."""

import pathlib

import pytest

from kdjax.runner.compared import baselines
from kdjax.runner.members import Member, Run

DATA = {"train": {"name": "toys", "sha256": "0"}}
SGD = {"name": "sgd", "momentum": 0.9}


def member(method, seed=0, **config):
    config = {"total_epochs": 5.0, "batch_size": 64, "optimizer": SGD} | config
    section = {"model": {"name": "net"}, "method": {"name": method}, "seed": seed}
    meta = {"students": {method: section}, "config": config, "data": DATA}
    return Member(Run(pathlib.Path(f"runs/{method}"), meta), method)


@pytest.mark.parametrize(
    "settings",
    [
        {"initial": {"workdir": "runs/pretrained"}},
        {"ema_decay": 0.999},
        {"batch_norm": "device"},
        {"accumulation_steps": 2},
        {"stop_at_train_top1": 99.0},
    ],
)
def test_networks_that_were_trained_otherwise_have_no_gains(settings):
    said = []
    members = {"ce": member("ce"), "kd": member("kd", **settings)}
    assert baselines(members, lambda *words: said.append(words)) == {}
    assert [what for what, _ in said] == ["gains and losses of kd"]
    members["ce"] = member("ce", **settings)
    assert baselines(members, said.append) == {"kd": "ce"}


def test_the_same_optimizer_goes_before_the_same_seed():
    other = SGD | {"momentum": 0.5}
    members = {
        "ce, momentum 0.5": member("ce", seed=1, optimizer=other),
        "ce": member("ce"),
        "kd": member("kd", seed=1),
    }
    assert baselines(members, print) == {"kd": "ce"}
    del members["ce"]
    assert baselines(members, print) == {"kd": "ce, momentum 0.5"}
