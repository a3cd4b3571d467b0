"""Configs to objects; and every bad input gets an error that names its place."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.cli.arguments import set_override
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.experiment.data import load_data
from kdjax.experiment.described import Sizes, data_of_sizes
from kdjax.experiment.schema import plain
from tests.experiment import configs


def test_a_config_becomes_a_run(data_dir):
    experiment = build(configs.teacher(data_dir))
    assert list(experiment.students) == ["ce"]
    assert experiment.teacher is None
    assert experiment.plan.total_steps == 8
    assert experiment.steps_per_epoch == 4
    assert len(experiment.train.label) == 256
    assert experiment.augment.mean == (0.2860,)
    assert experiment.identity["data"]["classes"] == 10
    assert experiment.identity["students"]["ce"]["model"]["width"] == 4
    assert experiment.identity["versions"].keys() >= {"kdjax", "jax", "flax"}


def test_data_that_are_given_are_not_loaded(data_dir):
    config = configs.teacher(data_dir)
    data = load_data(plain(config)["data"])
    config.data.data_dir = "/nowhere"
    experiment = build(config, data)
    assert experiment.data is data and experiment.plan.total_steps == 8


def test_data_may_be_described_and_a_teacher_untrained():
    """As `compile` knows them: the same run, of shapes alone."""
    config = configs.students("/nowhere", "/nowhere/teacher")
    config.data.flip, config.teacher.workdir = True, ""
    sizes = Sizes(28, 10, 256, channels=1)
    section = plain(config)["data"] | {"feed": "resident"}
    data = data_of_sizes(section, sizes)
    model = {"name": "tests.networks:tiny", "width": 4}
    experiment = build(config, data, teacher_models=[model])
    assert list(experiment.students) == list(configs.METHODS)
    assert experiment.plan.total_steps == 8
    leaves = jax.tree.leaves(experiment.teacher.variables)
    assert leaves and all(isinstance(x, jax.ShapeDtypeStruct) for x in leaves)
    identity = experiment.identity["data"]
    assert identity["classes"] == 10 and identity["class_names"] is None
    two = build(config, data, teacher_models=[model, model]).teacher
    assert two.members == 2 and sorted(two.variables[0]) == ["member0", "member1"]


def test_the_configs_schedule_and_decay_reach_the_optimizer(data_dir):
    config = configs.teacher(data_dir)  # 4 steps an epoch
    for key, value in {
        "schedule": "{'name': 'step', 'learning_rate': 0.5, 'milestones': (1,), "
        "'factor': 0.1}",
        "optimizer": "{'name': 'sgd', 'momentum': 0, 'nesterov': False, "
        "'weight_decay': 0.2}",
    }.items():
        set_override(config, key, value)
    optimizer = build(config).students["ce"].optimizer
    params = {"kernel": jnp.ones((1, 1)), "bias": jnp.ones(1)}
    state, sizes = optimizer.init(params), []
    for _ in range(5):
        updates, state = optimizer.update(params, state, params)
        sizes.append((float(updates["kernel"][0, 0]), float(updates["bias"][0])))
    wanted = [(-0.6, -0.5)] * 4 + [(-0.06, -0.05)]
    np.testing.assert_allclose(sizes, wanted, rtol=1e-6)


def test_total_steps_overrides_epochs(data_dir):
    config = configs.teacher(data_dir)
    config.total_steps = 3
    assert build(config).plan.total_steps == 3


def test_partial_epochs_are_rounded_up_to_a_step(data_dir):
    config = configs.teacher(data_dir)
    config.batch_size, config.total_epochs = 100, 1.0
    assert build(config).plan.total_steps == math.ceil(256 / 100)


def test_unknown_sets_are_measured(data_dir):
    config = configs.teacher(data_dir)
    config.data.mean, config.data.std = (0.1,), (0.2,)
    assert build(config).augment.std == (0.2,)


def test_of_a_file_crops_are_asked_for_and_moments_are_measured(tmp_path):
    image = np.zeros((4, 8, 8, 1), np.uint8)
    image[:2] = 255
    parts = {"image": image, "label": np.arange(4) % 2}
    named = {f"{s}_{k}": v for s in ("train", "test") for k, v in parts.items()}
    np.savez(tmp_path / "cifar100.npz", **named)
    config = configs.teacher(tmp_path)
    config.data.name = "cifar100.npz"  # whose name says nothing
    config.data.train, config.data.test = "train", "test"
    with pytest.raises(InputError, match=r"config\.data\.padding is not set"):
        build(config)
    config.data.padding, config.data.flip = 2, True
    experiment = build(config)
    assert (experiment.augment.mean, experiment.augment.std) == ((0.5,), (0.5,))
    assert experiment.identity["data"]["classes"] == 2


def test_infinity_survives_json(data_dir):
    config = configs.teacher(data_dir)
    config.teacher.network = "tests.networks:tiny"
    kd = {"name": "kd", "alpha": 1.0, "temperature": float("inf")}
    config.method = ConfigDict(kd)
    experiment = build(config)
    assert experiment.config["method"]["temperature"] == "inf"
    assert experiment.students["kd"].method.terms[0].name == "logit_matching"


KD = {"name": "kd", "alpha": 1.0, "temperature": 4.0}
BAD = {
    "a key that nobody reads": (
        {"bach_size": 3},
        r"config\.bach_size is not read; .* Did you mean batch_size\?",
    ),
    "a key of a section that nobody reads": (
        {"evaluation": {"every_epoch": 1.0, "batch_size": 5}},
        r"config\.evaluation\.every_epoch is not read; .*Did you mean every_epochs\?",
    ),
    "a parameter that the method does not take": (
        {"method": {"name": "kd", "alpha": 1.0, "temprature": 4.0}},
        r"config\.method\.temprature is not a parameter of kd; it takes alpha, "
        r"temperature,.* Did you mean temperature\?",
    ),
    "a parameter left out": (
        {"method": {"name": "kd", "alpha": 1.0}},
        r"config\.method\.temperature is missing; kd needs it",
    ),
    "an unknown method": (
        {"method": {"name": "kdd"}},
        r"config\.method\.name is 'kdd'; expected one of ce, kd,.* Did you mean kd",
    ),
    "temperature 0": (
        {"method": KD | {"temperature": 0.0}},
        r"config\.method: kd: temperature is 0; expected a number above 0",
    ),
    "temperature below 0": (
        {"method": KD | {"temperature": -1.0}},
        r"config\.method: kd: temperature is -1",
    ),
    "temperature NaN": (
        {"method": KD | {"temperature": float("nan")}},
        r"config\.method: kd: temperature is nan",
    ),
    "alpha above 1": ({"method": KD | {"alpha": 1.5}}, r"config\.method: kd: alpha"),
    "an unknown network": (
        {"model": {"name": "wrn_16_3"}},
        r"config\.model: create: there is no model 'wrn_16_3'; near are wrn_16",
    ),
    "an unknown option of a network": (
        {"model": {"name": "wrn_16_2", "widht": 3}},
        r"config\.model: create: widht is not a parameter of wrn_16_2",
    ),
    "images that the network cannot take": (
        {"model": {"name": "resnet18"}},
        r"config\.model: it cannot take the data set's images of 28x28x1: resnet18: .*"
        r"resnet18_cifar",
    ),
    "a network of other classes": (
        {"model": {"name": "tests.networks:eleven_classes"}},
        r"config\.model: the network has 11 classes and the data set has 10",
    ),
    "a distillation without a teacher": (
        {"method": KD},
        r"config\.method: kd needs a teacher; expected config\.teacher\.workdir",
    ),
    "a teacher that is not there": (
        {"teacher": {"workdir": "/nowhere/at/all"}},
        r"config\.teacher\.workdir is '/nowhere/at/all', and there is no such",
    ),
    "a teacher by the name of a network": (
        {"teacher": {"network": "wrn_16_2"}},
        r"config\.teacher\.network is 'wrn_16_2'; .*has no weights of its own",
    ),
    "a teacher of other classes than its student": (
        {"teacher": {"network": "tests.networks:eleven_classes"}, "method": KD},
        r"config\.teacher\.network: the network has 11 classes and the data set has 10",
    ),
    "two teachers": (
        {"teacher": {"network": "a:b", "workdir": "/tmp"}},
        r"config\.teacher: both workdir and network",
    ),
    "an unprepared data set": (
        {"data": {"name": "cifar100"}},
        r"cifar100 is not prepared: .*python -m kdjax prepare cifar100 --data_dir=",
    ),
    "a split that is not there": ({"data": {"train": "trian"}}, "split 'trian'"),
    "statistics for another number of channels": (
        {"data": {"mean": (0.5,) * 3, "std": (0.2,) * 3}},
        r"config\.data\.mean is \(0\.5, 0\.5, 0\.5\); expected 1 number",
    ),
    "statistics that are no numbers": (
        {"data": {"mean": ("a",), "std": (1.0,)}},
        r"config\.data\.mean is \('a',\); expected 1 number",
    ),
    "a decay below 0": (
        {"optimizer": {"weight_decay": -0.1}},
        r"config\.optimizer: sgd: weight_decay is -0\.1; expected a number >= 0",
    ),
    "milestones that are one number": (
        {
            "schedule": {
                "name": "step",
                "learning_rate": 1,
                "factor": 1,
                "milestones": 3,
            }
        },
        r"config\.schedule: ",
    ),
    "a seed that is no 32-bit number": (
        {"students": {"a": {"seed": 2**32}}},
        r"config\.students\.a\.seed is 4294967296; expected",
    ),
    "a batch that is no number": (
        {"batch_size": 0},
        r"config\.batch_size is 0; expected a whole number >= 1",
    ),
    "a schedule with a missing part": (
        {"schedule": {"name": "step", "learning_rate": 0.1, "factor": 0.1}},
        r"config\.schedule\.milestones is missing; step needs it",
    ),
    "a student's unknown key": (
        {"students": {"a": {"methd": KD}}},
        r"config\.students\.a\.methd is not read; .* Did you mean method\?",
    ),
    "a student's name that is no file name": (
        {"students": {"a/b": {"seed": 1}}},
        r"config\.students: 'a/b' cannot name a student",
    ),
    "nothing to do": ({"total_epochs": 0.0}, r"config\.total_epochs is 0"),
}
REPLACED = ("model", "method", "schedule", "students", "evaluation")


@pytest.mark.errors
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(data_dir, case):
    changes, message = BAD[case]
    config = configs.teacher(data_dir).to_dict()
    for key, value in changes.items():
        if isinstance(value, dict) and key not in REPLACED:
            value = config[key] | value
        config[key] = value
    with pytest.raises(InputError, match=message) as caught:
        build(config)
    assert caught.value.exit_code == 2


def test_sets_by_version_have_the_statistics_of_the_set(data_dir):
    config = configs.teacher(data_dir)
    config.data.name = "fashion_mnist_subset:1.0.0"
    augment = build(config).augment
    assert (augment.mean, augment.padding, augment.flip) == ((0.2860,), 2, True)
