"""Mixtures of images from a config: which methods may have them."""

import pytest
from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.experiment import cache
from kdjax.experiment.build import build
from kdjax.experiment.mixtures import MIXTURES
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


def test_methods_with_a_teacher_or_cross_entropy_may(data_dir):
    config = config_of(data_dir)
    config.data.cutmix = 0.5
    methods = {
        "matching": MATCHING,
        "mse": {"name": "mse"},
        "flsw": {"name": "dtd_flsw", "spread": 10.0},
        "ce": {"name": "ce", "label_smoothing": 0.1},
        "kd": MATCHING | {"alpha": 0.9},
        "dist": {"name": "dist"},
    }
    config.students = ConfigDict({n: {"method": m} for n, m in methods.items()})
    augment = build(config).augment
    assert (augment.mixup, augment.cutmix) == (1.0, 0.5)
    augment = build(config_of(data_dir, mixup=0.0)).augment
    assert (augment.mixup, augment.cutmix) == (0.0, 0.0)


@pytest.mark.errors
@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"method": {"name": "gce"}},
            "config.method: gce .* generalized_cross_entropy reads",
        ),
        ({"method": {"name": "lr_mse"}}, "lr_mse .* reads the label of one sample"),
        (
            {"method": {"name": "dkd", "warmup_epochs": 0.0}},
            "dkd .* reads the label of one sample",
        ),
        (
            {"method": MATCHING | {"supervisor": {"name": "ka_ps"}}},
            "kd .* its supervisor reads the label of one sample",
        ),
        (
            {"selection": {"name": "random", "keep_ratio": 0.5}},
            "kd .* selection is of single samples; expected 0, or all samples",
        ),
        (
            {"method": {"name": "dtd_flsw", "spread": 10.0, "memory_decay": 0.9}},
            "dtd_flsw .* it remembers each sample",
        ),
        (
            {
                "method": {"name": "dividemix", "warmup_epochs": 1.0},
                "selection": {"name": "dividemix", "warmup_epochs": 1.0},
            },
            "dividemix .* it prepares its images",
        ),
        (
            {
                "students": {
                    "a": {"method": {"name": "mse"}},
                    "b": {"method": {"name": "sce"}},
                }
            },
            "config.students.b.method: sce .* reads the label",
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
def test_the_key_that_is_set_is_named(data_dir):
    config = config_of(data_dir, {"name": "gce"}, mixup=0.0)
    config.data.cutmix = 1.0
    with pytest.raises(InputError, match="config.data.cutmix is above 0, and "):
        build(config)


@pytest.mark.errors
@pytest.mark.parametrize("key", MIXTURES)
@pytest.mark.parametrize("alpha", [-0.5, True, "uniform", float("nan"), 101.0])
def test_what_is_no_strength(data_dir, key, alpha):
    config = config_of(data_dir).to_dict()
    config["data"][key] = alpha
    with pytest.raises(InputError, match=f"{key} is .*expected a number"):
        build(config)


@pytest.mark.errors
@pytest.mark.parametrize("key", MIXTURES)
def test_a_cache_has_outputs_for_single_images(data_dir, tmp_path, key):
    config = config_of(data_dir, mixup=0.0)
    config.data[key] = 1.0
    experiment, message = build(config), f"config.data.{key} is 1, and a cache has"
    with pytest.raises(InputError, match=message):
        cache.origin_of(experiment.teacher, experiment.data, 0, 8)
    config.teacher.cache = str(tmp_path)
    with pytest.raises(InputError, match=message):
        run.check(config, tmp_path)


def test_manifests_of_caches_are_what_they_were(data_dir):
    experiment = build(config_of(data_dir, mixup=0.0))
    crops = cache.origin_of(experiment.teacher, experiment.data, 0, 8)["preprocessing"]
    assert sorted(crops) == ["flip", "mean", "padding", "std", "version"]
