"""Numbers that can only be mistakes end a run with code 2 before anything trains."""

import numpy as np
import pytest

from kdjax.__main__ import main

IMAGES = 20
HEAD = f"""
from ml_collections import ConfigDict
from kdjax.experiment import schema


def get_config(arg=""):
    config = schema.base()
    config.model = ConfigDict({{"name": "tests.networks:tiny", "width": 4}})
    config.method = ConfigDict({{"name": "ce"}})
    config.data.name = arg
    config.data.padding, config.data.flip = 0, False
    config.batch_size = {IMAGES // 2}
    config.total_epochs = 2.0
    config.tensorboard = False
    return config
"""
TEACHER = "teacher.network=tests.networks:coarse"
KD = "method={'name': 'kd', 'alpha': 1.0, 'temperature': %s}"
STEP = "schedule={'name': 'step', 'learning_rate': 0.1, 'factor': %s, 'milestones': %s}"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A config of a set of 20 images: FILE:ARG."""
    directory = tmp_path_factory.mktemp("numbers")
    arrays = {}
    for split, count in (("train", IMAGES), ("test", 10)):
        image = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), np.uint8)
        label = np.arange(count) % 2
        arrays |= {f"{split}_image": image, f"{split}_label": label}
    np.savez(directory / "set.npz", **arrays)
    (directory / "config.py").write_text(HEAD)
    return f"{directory}/config.py:{directory}/set.npz"


@pytest.fixture
def code_of(config, tmp_path, monkeypatch, capsys):
    """Words of `train` -> its exit code and what it printed as an error."""
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)

    def run(*words):
        workdir = tmp_path / "run"
        code = main(["train", f"--config={config}", f"--workdir={workdir}", *words])
        assert not (workdir / "checkpoints").exists()
        return code, capsys.readouterr().err

    return run


NOT_FINITE = ("nan", "inf", "-inf")
FLOATS = (
    *("total_epochs", "evaluation.every_epochs", "stop_at_train_top1"),
    *("data.mixup", "data.cutmix", "data.crops.smallest_area"),
    *("schedule.learning_rate", "schedule.warmup_epochs", "schedule.final_fraction"),
    *("optimizer.momentum", "optimizer.weight_decay", "optimizer.clip_norm"),
    "method.label_smoothing",
)
WRONG = [
    *(f"{key}={value}" for key in FLOATS for value in (*NOT_FINITE, -0.1)),
    *(f"schedule.{key}=-1" for key in ("learning_rate", "warmup_epochs")),
    "schedule.warmup_epochs=2.5",  # of a run of 2 epochs
    "schedule.final_fraction=1.5",
    *(
        f"schedule={{'name': {name!r}, 'learning_rate': {rate}}}"
        for name in ("constant", "linear", "cosine")
        for rate in (*NOT_FINITE, -0.1, 1e30, "'0.1'", "True", "None")
    ),
    *(STEP % (factor, (1.0,)) for factor in (*NOT_FINITE, -0.1)),
    *(STEP % (0.1, f"({milestone},)") for milestone in (*NOT_FINITE, -1.0)),
    "schedule={'name': 'linear', 'learning_rate': 0.1, 'start_epoch': -1}",
    *(f"optimizer={{'name': 'adamw', 'b1': {b1}}}" for b1 in ("nan", -0.1, 1.0)),
    *(f"optimizer={{'name': 'adamw', 'b2': {b2}}}" for b2 in ("nan", -0.1, 1.0)),
    *(f"optimizer={{'name': 'adamw', 'weight_decay': {d}}}" for d in NOT_FINITE),
    *(f"data.mean=({value},)" for value in NOT_FINITE),
    *(f"data.std=({value},)" for value in (*NOT_FINITE, 0, -0.1)),
    *("stop_at_train_top1=100.5", "published.top1=101", "published.top1=nan"),
    *(f"ema_decay={decay}" for decay in ("nan", -0.1, 1)),
    *(f"checkpoint.every_minutes={m}" for m in ("nan", "inf", -1)),
    *("data.mixup=101", "data.cutmix=101"),
    *(f"data.noise={{'name': 'symmetric', 'rate': {r}}}" for r in ("nan", -0.1, 1.1)),
    "data.noise={'name': 'symmetric', 'rate': 0.1, 'seed': -1}",
    *(f"{key}=-1" for key in ("batch_size", "total_steps", "log_every_steps", "seed")),
    *("batch_size=0", "evaluation.batch_size=-1", "log_every_steps=0"),
    *("total_epochs=0", "total_epochs=1e30", f"total_steps={10**30}"),
    *(f"data.{key}=-1" for key in ("threads", "skip_at_most", "padding")),
    *(f"data.crops.{key}=0" for key in ("size", "short_side")),
    f"seed={2**32}",
    f"batch_size={10**400}",
    f"total_epochs={10**400}",
    f"batch_size={IMAGES + 1}",
    "batch_size=1000",
    "model.width=nan",
    *("model={'name': 'wide_resnet', 'depth': nan, 'widths': (4, 4, 4)}",),
    "selection={'name': 'random', 'keep_ratio': nan}",
    "selection={'name': 'random', 'keep_ratio': 1.5}",
    "selection={'name': 'random', 'keep_ratio': 0.5, 'seed': -1}",
    "selection={'name': 'detector', 'detector': 'fine', 'first_epoch': nan}",
    "selection={'name': 'detector', 'detector': 'fine', 'first_epoch': -1}",
    "selection={'name': 'detector', 'detector': 'fine', 'first_epoch': inf}",
    "selection={'name': 'influence', 'first_epoch': 1.0, 'keep_ratio': nan}",
    "students={'a': {'seed': -1}}",
    "students={'a': {'seed': nan}}",
]


@pytest.mark.parametrize("override", WRONG, ids=lambda text: text[:70])
def test_a_training_does_not_start(code_of, override):
    code, message = code_of(f"--config.{override}")
    assert code == 2, message
    key = override.split("=")[0].split(".")[0]
    assert message.startswith("kdjax train: config.") and key in message
    assert "expected" in message


TEMPERATURES = ("nan", "-inf", "0", "-1", "1e30", "1e7")


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_temperature_is_a_number_or_the_limit(code_of, temperature):
    words = f"--config.{TEACHER}", f"--config.{KD % temperature}"
    code, message = code_of(*words)
    assert code == 2 and "temperature is" in message, message


@pytest.mark.parametrize("number", ("nan", "inf", "-1", "1e30"))
@pytest.mark.parametrize(
    "method",
    (
        "{'name': 'dtd_la', 'spread': %s}",
        "{'name': 'dtd_la', 'spread': 1.0, 'base': %s}",
        "{'name': 'lr_mse', 'lambda1': %s}",
        "{'name': 'lr_kl', 'gamma': %s}",
        "{'name': 'elr', 'weight': %s}",
        "{'name': 'sce', 'alpha': %s}",
        "{'name': 'tickets', 'loss': 'elr', 'parameters': {'weight': %s}}",
        "{'name': 'coteaching', 'noise_rate': 0.4, 'gradual_epochs': %s}",
        "{'name': 'dividemix', 'warmup_epochs': 1, 'unlabelled_weight': %s}",
    ),
)
def test_a_method_takes_numbers_that_can_be_meant(code_of, method, number):
    words = f"--config.{TEACHER}", f"--config.method={method % number}"
    code, message = code_of(*words)
    assert code == 2 and "expected" in message, message


@pytest.mark.parametrize("devices", (0, -1))
def test_there_is_at_least_one_device(config, tmp_path, capsys, devices):
    words = f"--config={config}", f"--workdir={tmp_path}", f"--devices={devices}"
    assert main(["train", *words]) == 2
    assert f"--devices is {devices}; expected" in capsys.readouterr().err


@pytest.mark.parametrize("override", ("total_epochs=-1", "schedule.warmup_epochs=9"))
def test_every_stage_is_checked_before_the_first_one_trains(code_of, override):
    key, value = override.split("=")
    for part in reversed(key.split(".")):
        value = f"{{{part!r}: {value}}}"
    stages = f"--config.stages={{'first': {{}}, 'last': {value}}}"
    code, message = code_of(stages, "--config.order=('first','last')")
    assert code == 2 and key in message


def test_what_is_at_the_limits_is_taken(config):
    from kdjax.experiment.build import build
    from kdjax.experiment.overrides import load_config

    words = (TEACHER, KD % "inf", f"batch_size={IMAGES}", "schedule.warmup_epochs=2")
    words += ("schedule.learning_rate=0", "stop_at_train_top1=100", "data.mean=(0,)")
    words += ("data.std=(1,)", f"seed={2**32 - 1}", "optimizer.momentum=0")
    assert build(load_config(config, list(words))).batch_size == IMAGES
    build(load_config(config, [TEACHER, KD % "1e6"]))
