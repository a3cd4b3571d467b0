"""RepDistiller's 13 pairs with every method, traced from one config, of shapes alone.

A spread of them here, all under the mark `long`, and there a step of each pair and of
each method as well, on a few images.
"""

import dataclasses
import functools
import json
import pathlib

import jax
import numpy as np
import pytest

from benchmarks import method_costs
from kdjax.contracts import InputError
from kdjax.data.registry import Sizes
from kdjax.experiment.described import describe_data
from kdjax.experiment.methods import build_method
from kdjax.experiment.overrides import load_config
from kdjax.experiment.stages import split_stages
from kdjax.methods import METHODS
from kdjax.preflight import program
from kdjax.preflight.plans import plan
from kdjax.reproduce import published, repdistiller
from kdjax.runner.sample_weights import SampleInfo
from kdjax.runner.trainer import Steps
from kdjax.training import sharding
from kdjax.training.state import initial_state

FILE = str(pathlib.Path(__file__).parent.parent / "configs/cifar100/repdistiller.py")
RUNS = pathlib.Path("/runs")
PAIRS, FIELD = published.PAIRS, repdistiller.FIELD
SMALL = ("resnet14", "resnet8")  # what steps of methods are taken with
FOUR = ("vgg11", "vgg8")
EXAMPLES, BATCH = 16, 8
# Pairs without a meaning: FSP compares channel by channel, KDSVD position by position.
WITHOUT = {"fsp": ("channels", (PAIRS[1], *PAIRS[7:])), "kdsvd": ("width", PAIRS[7:])}


def load(*words, overrides=()):
    return load_config(f"{FILE}:{','.join(words)}", list(overrides))


def parts(*words, overrides=()):
    """Of every stage, or of the one training."""
    config = load(*words, overrides=overrides)
    return list(split_stages(config, RUNS).values()) or [config.to_dict()]


@functools.cache
def described(name="cifar100"):
    config = load("kd", *SMALL)
    return describe_data(config.data.to_dict(), Sizes())


def traced(*words):
    """The steps' jaxprs as they would run: shapes of what they return."""
    mesh = sharding.make_mesh(jax.devices()[:1])
    for part in parts(*words):
        one = plan(part, described(), [{"name": repdistiller.network(words[1])}])
        assert jax.tree.leaves(program.trace(one, mesh, part["batch_size"]).out_info)


SPREAD = [
    pytest.param(("reviewkd+kd", *PAIRS[7]), marks=pytest.mark.long),
    ("at", *SMALL),
]


@pytest.mark.parametrize("words", SPREAD, ids="-".join)
def test_a_pair_is_traced(words):
    if words[0].partition("+")[0] not in METHODS:
        pytest.skip("not merged")
    traced(*words)


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("method", FIELD)
def test_every_pair_is_traced_with_every_method(method, pair):
    message, pairs = WITHOUT.get(method, ("", ()))
    if pair not in pairs:
        traced(method, *pair)
        return
    with pytest.raises(InputError, match=message):
        traced(method, *pair)


def test_every_method_of_the_field_is_there():
    assert set(FIELD) <= set(METHODS)
    assert {name.partition("+")[0] for name in published.ROWS} <= set(FIELD)


@pytest.mark.parametrize("method", FIELD)
@pytest.mark.parametrize("pair", [SMALL, *PAIRS[5:9]], ids="-".join)
def test_arguments_are_those_of_the_method(method, pair):
    """As `build` is asked for them, which the checks of a run compare."""
    from kdjax.runner import run

    run.check(load(method, *pair), RUNS)


@pytest.mark.parametrize("rules", repdistiller.RULES)
@pytest.mark.parametrize("host", ["kd", "reviewkd"])
def test_rules_attach(host, rules):
    (part,) = parts(f"{host}+{rules}", *SMALL)
    facts = {"steps_per_epoch": 781.0, "total_steps": 187_440, "num_examples": 50_000}
    refused = {("reviewkd", "standardise"): "acts on logits", ("kd", "kd"): "no rule"}
    if (host, rules) in refused:
        with pytest.raises(InputError, match=refused[host, rules]):
            build_method("config.method", part["method"], **facts)
    else:
        assert build_method("config.method", part["method"], **facts).supervisor


def mini():
    """Random images as if CIFAR-100's."""
    data, rng = described(), np.random.default_rng(0)
    image = rng.integers(0, 256, (EXAMPLES, 32, 32, 3), np.uint8)
    label = rng.integers(0, 100, EXAMPLES).astype(np.int32)
    split = data.train._replace(image=image, label=label)
    return dataclasses.replace(data, train=split, test=split, true_labels=label)


def step(part, teacher, workdir):
    """The loss of one step of a stage."""
    part = part | {"batch_size": BATCH, "total_steps": 200}
    experiment = plan(part, mini(), [{"name": teacher}]).experiment
    mesh = sharding.make_mesh(jax.devices()[:1])
    images = np.zeros((2, 32, 32, 3), np.float32)
    network = experiment.teacher.network
    variables = jax.jit(network.init)(jax.random.key(1), images)
    teacher = dataclasses.replace(experiment.teacher, variables=variables)
    experiment = dataclasses.replace(experiment, teacher=teacher)

    def draw():
        pair = (network, variables)
        return {
            n: initial_state(s, images, pair) for n, s in experiment.students.items()
        }

    states = sharding.compile_init(draw, mesh)()
    variables = sharding.place_replicated(variables, mesh)
    sample_info = SampleInfo(experiment, variables, mesh, workdir, 0)
    steps = Steps(experiment, variables, mesh, sample_info, most=1)
    try:
        count, rows = steps.ready(0, 1)
        _, metrics = steps.run(states, 0, count, rows)
        ((_, row),) = jax.device_get(metrics).items()
    finally:
        steps.close()
    assert not row["skipped"]
    return row["loss"]


def check_steps(words, workdir):
    for part in parts(*words):
        assert np.isfinite(step(part, repdistiller.network(words[1]), workdir))


@pytest.mark.long
@pytest.mark.parametrize("method", FIELD)
def test_every_method_takes_a_step(method, tmp_path):
    check_steps((method, *SMALL), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_every_pair_takes_a_step_of_kd(pair, tmp_path):
    check_steps(("kd", *pair), tmp_path)


def test_the_protocol_and_its_learning_rates():
    config = load("crd", "resnet56", "resnet20")
    assert (config.batch_size, config.total_epochs) == (64, 240.0)
    assert config.schedule.milestones == (150.0, 180.0, 210.0)
    for student, rate in (("resnet20", 0.05), ("vgg8", 0.05), ("MobileNetV2", 0.01)):
        assert load("kd", "ResNet50", student).schedule.learning_rate == rate
    mlkd = load("mlkd", "vgg13", "MobileNetV2")
    assert (mlkd.schedule.learning_rate, mlkd.total_epochs) == (0.0025, 480.0)
    assert load("mlkd", "vgg13", "vgg8").schedule.learning_rate == 0.025


def test_weights_are_those_of_the_pair():
    assert load("dkd", "resnet56", "resnet20").method.beta == 2.0
    assert load("dkd", "wrn_40_2", "wrn_40_1").method.beta == 6.0
    assert "beta" not in load("dkd", "resnet32x4", "resnet8x4").method
    assert load("reviewkd", "resnet56", "resnet20").method.weight == 0.6
    assert load("reviewkd", "resnet32x4", "ShuffleV2").method.weight == 8.0


def test_four_stages_have_four_levels():
    stages = [f"stage{i}" for i in (1, 2, 3, 4)]
    method = load("reviewkd", "vgg13", "MobileNetV2").method
    assert method.student_features == (*stages, "pooled")
    assert method.teacher_features == (*(f"{s}_preact" for s in stages), "pooled")
    assert "student_features" not in load("reviewkd", "resnet56", "resnet20").method

    def build(*, student_features=("stage3",), teacher_features=("stage2",)): ...

    def all_of(*, pairs=(("stem", "stem"), ("stage3", "stage3"))): ...

    changed = {"student_features": ("stage4",)}
    assert repdistiller.features(build, *FOUR) == changed
    assert repdistiller.features(build, *SMALL) == {}
    changed = {"pairs": (("stem", "stem"), ("stage4", "stage4"))}
    assert repdistiller.features(all_of, *FOUR) == changed


def test_kd_is_added_with_a_weight_of_one():
    method = load("reviewkd+kd", "resnet56", "resnet20").method
    kd = {"name": "kd", "alpha": 1.0, "temperature": 4.0}
    assert method.supervisor.to_dict() == kd


def test_both_ways_to_call_a_network():
    for ours, theirs in (
        ("resnet50_cifar", "ResNet50"),
        ("mobilenet_v2_half", "MobileNetV2"),
        ("shufflenet_v1", "ShuffleV1"),
        ("shufflenet_v2", "ShuffleNetV2"),
        ("wrn_40_2", "wrn-40-2"),
    ):
        assert repdistiller.network(ours) == repdistiller.network(theirs) == ours


@pytest.mark.long
def test_the_cost_of_a_step(tmp_path):
    """Of KD against itself, with clocks of any machine."""
    file = tmp_path / "costs.json"
    words = ["--methods=kd", "--rounds=1", "--steps=1", f"--json={file}"]
    assert method_costs.main(words) == 0
    costs = json.loads(file.read_text())["methods"]["kd"]
    assert costs["memory"] == 1.0 and costs["time"] > 0
