"""The compiled step is the trainer's, and its parts have the bytes of their arrays."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.bench import flops
from kdjax.contracts import InputError
from kdjax.experiment import described, schema
from kdjax.experiment.build import build
from kdjax.experiment.data import load_data
from kdjax.models import winograd
from kdjax.models.platform import traced_for
from kdjax.preflight import plans, program, rows
from kdjax.preflight.collectives import tally
from kdjax.runner.sample_weights import SampleInfo
from kdjax.runner.trainer import Steps
from kdjax.training import sharding
from kdjax.training.state import initial_state
from tests.data.jpegs import pictures, prepare_jpegs
from tests.experiment import configs
from tests.weights.conftest import file, flags, teacher, tensors

__all__ = ["file", "flags", "teacher", "tensors"]  # fixtures


def two_students(data_dir):
    """One with sample weights, and a teacher that brings its weights."""
    config = configs.teacher(data_dir)
    config.teacher.network = "tests.networks:tiny"
    config.students = ConfigDict(
        {
            "kd": {
                "method": configs.METHODS["kd"],
                "selection": {"name": "random", "keep_ratio": 0.5},
            },
            "ce": {"method": configs.METHODS["ce"]},
        }
    )
    return config


def operations(jaxpr):
    """How often each primitive is used, by the shapes of its results."""
    counts = collections.Counter()
    for equation in jaxpr.eqns:
        shapes = tuple(str(variable.aval) for variable in equation.outvars)
        counts[equation.primitive.name, shapes] += 1
        for inner in flops._inner(equation.params):
            counts += operations(inner)
    return counts


def as_trained(config, workdir, most):
    """The step that the trainer compiles for a config, traced with its own arrays."""
    experiment, mesh = build(config), sharding.make_mesh()
    variables = sharding.place_replicated(experiment.teacher.variables, mesh)
    sample_info = SampleInfo(experiment, variables, mesh, workdir, 0)
    steps = Steps(experiment, variables, mesh, sample_info, most)
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
    states = sharding.compile_init(
        lambda: {n: initial_state(s, images) for n, s in experiment.students.items()},
        mesh,
    )()
    _, batch_spec = steps.ready(0, most)
    steps.close()
    source = steps.feed.source | {"sample_info": sample_info.before(0, states)}
    return steps.programs[most].trace(states, variables, source, batch_spec)


def check_same(ours, theirs):
    """To the letter: operations, constants, donated arguments, and shardings."""
    assert operations(ours.jaxpr.jaxpr) == operations(theirs.jaxpr.jaxpr)
    assert ours.lower().as_text() == theirs.lower().as_text()


@pytest.mark.parametrize(
    ("most", "batch_norm"), [(1, "global"), (1, "device"), (16, "global")]
)
def test_it_is_the_very_step_of_the_trainer(
    data_dir, tmp_path, monkeypatch, most, batch_norm
):
    config, mesh = two_students(data_dir), sharding.make_mesh()
    config.batch_norm = batch_norm
    theirs = as_trained(config, tmp_path, most)
    monkeypatch.setattr(program, "steps_per_dispatch", lambda platform: most)
    images = load_data(schema.plain(config)["data"])
    plan = plans.plan(schema.plain(config), images)
    check_same(program.trace(plan, mesh, 64), theirs)


def test_it_is_the_very_step_of_a_streamed_training(tmp_path):
    """Whose data are on disk for the trainer only."""
    rows = pictures(21) * 4
    prepare_jpegs(tmp_path, {"train": rows, "test": rows[:9]})
    config = two_students(tmp_path)
    config.data.name, config.data.feed = "jpeg_set", "streamed"
    config.data.train, config.data.test = "train", "test"
    config.data.crops = ConfigDict({"size": 16, "short_side": 20})
    config.data.mean, config.data.std = (0.4, 0.5, 0.5), (0.3, 0.3, 0.3)
    config.data.flip = True
    theirs = as_trained(config, tmp_path, 1)
    config.data.data_dir = "/nowhere"
    config = schema.plain(config)
    given = described.Sizes(classes=5, examples=84)
    images = described.describe_data(config["data"], given)
    plan = plans.plan(config, images)
    assert not plan.resident
    check_same(program.trace(plan, sharding.make_mesh(), 64), theirs)


@pytest.mark.parametrize("untrained", [False, True])
def test_a_teacher_gets_images_of_its_own_size(data_dir, tmp_path, untrained):
    """They are resized as in the trainer's step; its FLOPs are of that size."""
    config, mesh = two_students(data_dir), sharding.make_mesh()
    config.teacher.network = "tests.networks:linear"
    config.teacher.input_size = (20, 12)
    theirs = as_trained(config, tmp_path, 1)
    plain = schema.plain(config)
    images = load_data(plain["data"])
    models = [{"name": "tests.networks:linear"}] if untrained else None
    plan = plans.plan(plain, images, models)
    assert plan.teacher_shape == (20, 12, 1) and plan.image_shape == (28, 28, 1)
    check_same(program.trace(plan, mesh, 64), theirs)
    assert rows.work_of(plan)["teacher"].flops == {"float32": 2 * 20 * 12 * 10}


def test_a_plan_knows_where_its_teacher_is_from(data_dir, teacher):
    config = schema.plain(two_students(data_dir))
    images = load_data(config["data"])
    assert plans.plan(config, images).teacher_from == "run"
    models = [{"name": "tests.networks:tiny"}]
    assert plans.plan(config, images, models).teacher_from == "untrained"
    config["teacher"] |= {"network": "", "workdir": str(teacher)}
    assert plans.plan(config, images).teacher_from == "imported"


def planned(config, feed="resident", teacher_models=("tests.networks:tiny",)):
    data = config["data"] | {"feed": feed, "mean": (0.5,), "std": (0.2,)}
    images = described.data_of_sizes(data, described.Sizes(28, 10, 1000, channels=1))
    named = [{"name": name} for name in teacher_models]
    return plans.plan(config, images, named)


def absent(**method):
    """A config whose data and whose teacher do not exist."""
    config = configs.teacher("/nowhere")
    config.teacher.workdir = "/nowhere/teacher"
    config.data.flip = True
    config.method = ConfigDict(method or configs.METHODS["kd"])
    return schema.plain(config)


def test_data_and_teacher_may_be_absent():
    plan = planned(absent())
    shapes = program.arguments(plan, 64, 1)
    assert shapes.source["image"].shape == (1000, 28, 28, 1)
    assert shapes.source["image"].dtype == np.uint8
    compiled = program.compile_step(plan, sharding.make_mesh(), 64)
    assert compiled.memory.total > 0 and compiled.refused is None
    assert tally(compiled.program)["all-reduce"].count >= 1


@pytest.mark.parametrize("classes", [3, 10])
def test_classes_of_described_images_are_any_of_the_teachers(
    teacher, tmp_path, classes
):
    """The names are in the data, which are absent."""
    (tmp_path / "names.txt").write_text("\n".join(f"class {n}" for n in range(10)))
    config = absent()
    config["teacher"] |= {"workdir": str(teacher)}
    config["teacher"] |= {"classes": str(tmp_path / "names.txt")}
    sizes = described.Sizes(28, classes, 1000, channels=1)
    data = config["data"] | {"feed": "resident", "mean": (0.5,), "std": (0.2,)}
    plan = plans.plan(config, described.data_of_sizes(data, sizes))
    images = jax.ShapeDtypeStruct((2, *plan.image_shape), jnp.float32)
    weights = flops.variables_of(plan.teacher, plan.image_shape)
    outputs = jax.eval_shape(plan.teacher.evaluate, *weights, images)
    assert outputs.logits.shape == (2, classes)
    sizes = sizes._replace(classes=11)
    with pytest.raises(InputError, match="has 10 classes .* has 11"):
        plans.plan(config, described.data_of_sizes(data, sizes))


def test_mixtures_of_images_are_in_the_step():
    config = absent()
    config["method"] = {"name": "mse"}
    config["model"] = {"name": "tests.networks:coarse"}
    mesh = sharding.make_mesh()

    def sent(mixup):
        config["data"]["mixup"] = mixup
        plan = planned(config, teacher_models=("tests.networks:coarse",))
        compiled = program.compile_step(plan, mesh, 64)
        return tally(compiled.program).get("collective-permute")

    assert sent(0.0) is None
    shifts = sent(1.0)  # one image of float32 from each device to the next
    assert (shifts.count, shifts.bytes) == (1, 28 * 28 * 4)


@pytest.mark.errors
def test_a_missing_teacher_is_named_by_an_option():
    with pytest.raises(InputError, match="no directory '/nowhere/teacher'.*--teacher"):
        planned(absent(), teacher_models=())
    unnamed = absent()
    unnamed["teacher"]["workdir"] = ""
    with pytest.raises(InputError, match="kd needs a teacher.*--teacher=NAME"):
        planned(unnamed, teacher_models=())


def test_several_teachers_are_an_ensemble(own_networks):
    config = absent(name="ensemble", alpha=0.9)
    plan = planned(config, teacher_models=("tests.networks:linear",) * 2)
    shapes = program.arguments(plan, 64, 1)
    assert sorted(shapes.teacher[0]) == ["member0", "member1"]


@pytest.mark.errors
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": {"a": {}}}, "the config of one training"),
        ({"select": {"name": "clk"}}, "the config of one training"),
        ({"teacher": {"cache": "runs/cache"}}, "config.teacher.cache"),
    ],
)
def test_what_is_no_single_step_is_refused(change, message):
    config = absent()
    for key, value in change.items():
        config[key] = config[key] | value
    with pytest.raises(InputError, match=message):
        planned(config)


def parts(plan):
    return program.parts(plan, 64, steps=1, devices=8)


def test_parts_have_the_bytes_of_their_arrays():
    config = absent()
    config["model"] = {"name": "tests.networks:linear"}
    teacher = ("tests.networks:linear",)
    weights = 28 * 28 * 10 + 10
    sizes = parts(planned(config, teacher_models=teacher))
    # Weights and momentum, and beside them a few counters.
    assert 0 < sizes["state"] - 4 * 2 * weights <= 64
    assert sizes["teacher"] == 4 * weights
    assert sizes["data"] == 1000 * (28 * 28 + 4)
    assert sizes["batch"] == 64 * (4 + 4) // 8 and sizes["ahead"] == 0
    sizes = parts(planned(config, feed="streamed", teacher_models=teacher))
    assert sizes["data"] == 1000 * 4
    assert sizes["batch"] == sizes["ahead"] == 64 * (4 + 4 + 28 * 28) // 8


def test_a_streamed_batch_is_divided_over_the_devices():
    plan = planned(absent(), feed="streamed")
    mesh = sharding.make_mesh()
    memory = program.compile_step(plan, mesh, 64).memory
    sizes = parts(plan)
    assert memory.arguments == sum(sizes.values()) - sizes["ahead"]


def test_a_program_for_an_accelerator_has_no_convolutions_for_cpus():
    images = jnp.zeros((64, 32, 32, 64), jnp.float32)
    kernel = jnp.zeros((3, 3, 64, 64), jnp.float32)
    assert winograd.suits(images, kernel, 1)
    with traced_for("tpu"):
        assert not winograd.suits(images, kernel, 1)
    assert winograd.suits(images, kernel, 1)


def test_only_an_error_about_memory_is_a_result(monkeypatch):
    plan = planned(absent())

    def fails(message):
        class Lowered:
            def compile(self):
                raise jax.errors.JaxRuntimeError(message)

        monkeypatch.setattr(program, "lower", lambda *_: Lowered())
        return functools.partial(program.compile_step, plan, None, 64)

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        fails("INTERNAL: no")()
    refused = fails("RESOURCE_EXHAUSTED: Used 2.00G of 1.00G hbm")()
    assert refused.memory is None and refused.refused.used == 2 * 2**30
