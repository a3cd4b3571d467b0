"""Mixup from a config: which methods may have it."""

import pytest
from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.experiment import cache
from kdjax.experiment.build import build
from kdjax.runner import run
from tests.experiment import configs

MATCHING = {"name": "kd", "alpha": 1.0, "temperature": 1.0}


def config_of(data_dir, method=MATCHING, mixup=1.0, **changes):
    config = configs.teacher(data_dir)
    config.method = ConfigDict(method)
    config.teacher.network = "tests.networks:coarse"
    config.data.mixup = mixup
    config.total_steps, config.total_epochs = 8, 0.0
    for key, value in changes.items():
        config[key] = ConfigDict(value)
    return config


def test_methods_with_the_teacher_alone_may(data_dir):
    for method in (MATCHING, {"name": "mse"}, {"name": "dtd_flsw", "spread": 10.0}):
        experiment = build(config_of(data_dir, method))
        assert experiment.augment.mixup == 1.0
    assert build(config_of(data_dir, mixup=0.0)).augment.mixup == 0.0


@pytest.mark.errors
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"method": {"name": "ce"}}, "config.method: ce reads labels"),
        ({"method": MATCHING | {"alpha": 0.9}}, "config.method: kd reads labels"),
        ({"method": {"name": "lr_mse"}}, "lr_mse reads labels"),
        (
            {"selection": {"name": "random", "keep_ratio": 0.5}},
            "kd reads labels, .* on all samples",
        ),
        (
            {"method": {"name": "dtd_flsw", "spread": 10.0, "memory_decay": 0.9}},
            "dtd_flsw remembers each sample",
        ),
        (
            {
                "method": {"name": "dividemix", "warmup_epochs": 1.0},
                "selection": {"name": "dividemix", "warmup_epochs": 1.0},
            },
            "dividemix mixes images by itself",
        ),
        (
            {
                "students": {
                    "a": {"method": {"name": "mse"}},
                    "b": {"method": {"name": "ce"}},
                }
            },
            "config.students.b.method: ce reads labels",
        ),
    ],
)
def test_others_may_not(data_dir, changes, message):
    config = config_of(data_dir, **changes)
    with pytest.raises(
        InputError, match=f"config.data.mixup is above 0, and .*{message}"
    ):
        build(config)


@pytest.mark.errors
@pytest.mark.parametrize("mixup", [-0.5, True, "uniform", float("nan"), 101.0])
def test_what_is_no_strength(data_dir, mixup):
    config = config_of(data_dir).to_dict()
    config["data"]["mixup"] = mixup
    with pytest.raises(InputError, match="mixup is .*expected a number"):
        build(config)


@pytest.mark.errors
def test_a_cache_has_answers_to_single_images(data_dir, tmp_path):
    config = config_of(data_dir)
    experiment = build(config)
    with pytest.raises(InputError, match="config.data.mixup is 1, and a cache has"):
        cache.origin_of(experiment.teacher, experiment.data, 0, 8)
    config.teacher.cache = str(tmp_path)
    with pytest.raises(InputError, match="config.data.mixup is 1, and a cache has"):
        run.check(config, tmp_path)


def test_manifests_of_caches_are_what_they_were(data_dir):
    experiment = build(config_of(data_dir, mixup=0.0))
    crops = cache.origin_of(experiment.teacher, experiment.data, 0, 8)["preprocessing"]
    assert sorted(crops) == ["flip", "mean", "padding", "std", "version"]
