"""A training that begins with a network of other classes, and rates by part."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.experiment.initial import load_initial
from kdjax.runner import run
from kdjax.runner.initial import begin_with
from kdjax.training import sharding
from kdjax.training.state import initial_state
from tests.experiment import configs
from tests.weights import numpy_resnet
from tests.weights.conftest import MEAN, STD, file, flags, teacher, tensors

pytestmark = pytest.mark.usefixtures("own_networks")
__all__ = ["file", "flags", "teacher", "tensors"]  # fixtures
ANIMALS = ("cat", "dog", "emu", "fox")
SIDE, MOMENTS = 12, {"mean": (0.5,), "std": (0.25,)}


def write(path, names=None, classes=4, side=SIDE, channels=1):
    """A set of noise, whose labels follow no pixel."""
    classes = len(names) if names else classes
    random = np.random.default_rng(classes)
    arrays = {"class_names": np.array(names)} if names else {}
    for split, count in (("train", 32), ("test", 64)):
        shape = count, side, side, channels
        arrays[f"{split}_image"] = random.integers(0, 256, shape, dtype=np.uint8)
        arrays[f"{split}_label"] = np.arange(count) % classes
    np.savez(path, **arrays)
    return path


def config_of(path, first=None, model="tiny", **more) -> ConfigDict:
    config = configs.teacher(path.parent)
    config.model = ConfigDict({"name": f"tests.networks:{model}"})
    config.data.name, config.data.train, config.data.test = path.name, "train", "test"
    config.data.padding, config.data.flip = 0, False
    config.data.mean, config.data.std = MOMENTS["mean"], MOMENTS["std"]
    config.batch_size, config.total_steps, config.seed = 16, 2, 3
    config.evaluation.batch_size = 16
    if first is not None:
        config.initial.workdir = str(first)
    config.update(more)
    return config


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("swap")


@pytest.fixture(scope="module")
def first(root):
    """A run on four animals."""
    from kdjax.experiment.builders import allow_code

    with allow_code("tests.networks:tiny"):
        run.run(config_of(write(root / "animals.npz", ANIMALS)), root / "first")
    return root / "first"


def weights(workdir, name="ce"):
    directory = workdir / "checkpoints"
    step = checkpoints.read_meta(directory)[0]["step"]
    return checkpoints.read_variables(directory, step, name)


def begun(config):
    """(experiment, variables that its student begins with, those that were drawn)."""
    experiment = build(config)
    (name, student), *_ = experiment.students.items()
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
    state = jax.jit(lambda: initial_state(student, images))()
    drawn = jax.tree.map(np.asarray, (state.params, state.batch_stats))
    state = begin_with(name, student, state, experiment.initial, sharding.make_mesh())
    return (
        experiment,
        jax.tree.map(np.asarray, (state.params, state.batch_stats)),
        drawn,
    )


def test_an_optimizer_begins_with_the_weights_that_are_trained(first, root):
    """Schedule-free methods step from weights of their own: not the drawn ones."""
    experiment = build(config_of(root / "animals.npz", first))
    (name, student), *_ = experiment.students.items()
    optimizer = optax.contrib.schedule_free_sgd(learning_rate=0.1)
    student = dataclasses.replace(student, optimizer=optimizer)
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
    state = jax.jit(lambda: initial_state(student, images))()
    mesh = sharding.make_mesh()
    state = begin_with(name, student, state, experiment.initial, mesh)
    equal(state.opt_state.z, weights(first)[0])
    equal(state.params, weights(first)[0])

    @functools.partial(jax.jit, donate_argnums=0)  # as the step donates it
    def update(state):
        zeros = jax.tree.map(jnp.zeros_like, state.params)
        updates, _ = student.optimizer.update(zeros, state.opt_state, state.params)
        return optax.apply_updates(state.params, updates)

    near = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(near, update(state), weights(first)[0])


def sentence(experiment):
    return experiment.initial.heads["ce"].sentence


def equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("names", (("ant", "bee", "cow"), ("ant", "bee", "cow", "dog")))
def test_other_classes_get_a_new_head_on_the_old_body(first, root, names):
    path = write(root / f"others{len(names)}.npz", names)
    experiment, (params, stats), (drawn, drawn_stats) = begun(config_of(path, first))
    theirs, their_stats = weights(first)
    assert params["Dense_0"]["kernel"].shape == (8, len(names))
    equal(params.pop("Dense_0"), drawn.pop("Dense_0"))
    theirs.pop("Dense_0")
    equal((params, stats), (theirs, their_stats))
    with pytest.raises(AssertionError):  # or the comparison would say nothing
        equal((params, stats), (drawn, drawn_stats))
    said = sentence(experiment)
    assert said.startswith("head: Dense_0/bias [4], Dense_0/kernel [8, 4] drawn anew")
    assert said.endswith(f"; 10 other arrays from {first}")
    assert ("'ant', 'bee', 'cow' are no classes of it" in said) == (len(names) == 4)
    assert experiment.identity["initial"]["head"] == "new"


def test_the_same_classes_in_another_order_keep_the_head_in_that_order(first, root):
    path = write(root / "turned.npz", ("dog", "emu", "cat", "fox"))
    experiment, (params, stats), _ = begun(config_of(path, first))
    theirs, their_stats = weights(first)
    for key in ("kernel", "bias"):
        expected = theirs["Dense_0"][key][..., [1, 2, 0, 3]]
        np.testing.assert_array_equal(params["Dense_0"][key], expected)
    equal(params | {"Dense_0": 0}, theirs | {"Dense_0": 0})
    equal(stats, their_stats)
    assert "kept, its classes put in order by name" in sentence(experiment)


@pytest.mark.parametrize("names", (None, ANIMALS))
def test_classes_that_are_the_same_or_have_no_names_keep_all(first, root, names):
    path = write(root / f"same{names is None}.npz", names)
    experiment, variables, _ = begun(config_of(path, first))
    equal(variables, weights(first))
    assert sentence(experiment) == f"initial: all 12 arrays from {first}"
    config = config_of(path, first)
    config.initial.head = "new"
    experiment, variables, drawn = begun(config)
    equal(variables[0]["Dense_0"], drawn[0]["Dense_0"])
    assert "drawn anew for 4 classes" in sentence(experiment)


def test_a_head_may_be_kept_for_some_of_its_classes(first, root):
    path = write(root / "some.npz", ("fox", "cat"))
    config = config_of(path, first)
    config.initial.head = "keep"
    _, (params, _), _ = begun(config)
    theirs = weights(first)[0]["Dense_0"]["kernel"]
    np.testing.assert_array_equal(params["Dense_0"]["kernel"], theirs[:, [3, 0]])
    config.data.name = write(root / "more.npz", (*ANIMALS, "gnu")).name
    message = "head is 'keep': 1 of the run's 5 classes are none of the network's 4: "
    with pytest.raises(InputError, match=f"{message}'gnu'"):
        build(config)
    config.data.name = write(root / "five.npz", classes=5).name
    with pytest.raises(InputError, match="head is 'keep'.* 4 classes and .* has 5"):
        build(config)


def test_images_may_have_another_size_and_no_other_channels(first, root, capfd):
    path = write(root / "large.npz", ("ant", "bee"), side=20)
    config = config_of(path, first)
    config.schedule.learning_rate, config.optimizer.weight_decay = 0.0, 0.0
    run.run(config, root / "second")
    said = capfd.readouterr().err
    assert "initial: trained on images of 12x12, and these are 20x20" in said
    assert "Dense_0/kernel [8, 4] drawn anew for 2 classes" in said
    kernels = [weights(one)[0]["Conv_0"]["kernel"] for one in (first, root / "second")]
    np.testing.assert_array_equal(*kernels)
    run.run(config, root / "second")  # finished; nothing is read anew
    colour = config_of(write(root / "colour.npz", ("ant", "bee"), channels=3), first)
    colour.data.mean, colour.data.std = (), ()
    with pytest.raises(InputError, match=r"take images of 1 channel\(s\).* have 3"):
        build(colour)


def test_images_are_normalised_as_the_weights_were_unless_the_config_says(first, root):
    config = config_of(root / "animals.npz")
    config.data.mean, config.data.std = (), ()
    measured = build(config).augment.mean
    config.initial.workdir = str(first)
    augment = build(config).augment
    assert (augment.mean, augment.std) == (MOMENTS["mean"], MOMENTS["std"])
    assert measured != MOMENTS["mean"]


def test_imported_weights_are_a_body_whose_features_are_numpys(
    teacher, tensors, tmp_path
):
    path = write(tmp_path / "three.npz", ("ant", "bee", "cow"), side=28)
    config = config_of(path, teacher)
    config.model = ConfigDict({"name": "resnet8"})
    config.data.mean, config.data.std = (), ()  # those of the weights
    experiment, variables, _ = begun(config)
    head = variables[0]["head"]
    assert head["kernel"].shape == (64, 3)
    own = {"linear.weight": head["kernel"].T, "linear.bias": head["bias"]}
    pixels = experiment.test.image[:4]
    images = (pixels / 255 - MEAN[0]) / STD[0]
    expected = numpy_resnet.logits(tensors | own, images)
    evaluate = jax.jit(experiment.students["ce"].network.evaluate)
    actual = evaluate(*variables, experiment.augment.evaluate(pixels)).logits
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=5e-5 * scale)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    (
        ("model.width", 4, "11 of 12 arrays differ, such as BatchNorm_0/bias"),
        (
            "data.mean",
            (0.4,),
            r"leave .* out, or .*mean=0\.5 --config\.data\.std=0\.25",
        ),
        ("initial.head", "other", "config.initial.head is 'other'; expected one of"),
    ),
)
def test_what_is_refused(first, root, key, value, message):
    config = config_of(root / "animals.npz", first)
    section, name = key.split(".")
    config[section][name] = value
    with pytest.raises(InputError, match=message):
        build(config)


def test_weights_without_a_word_of_the_head_are_read(first):
    meta, _ = checkpoints.read_meta(first / "checkpoints")
    section = {"workdir": str(first), "student": "", "checkpoint": "latest"}
    initial = load_initial(section | {"parts": "all"}, meta["data"])
    assert initial.head == "keep" and "head" not in initial.identity


@pytest.fixture(scope="module")
def trained(root):
    """head_rate -> weights after a step of plain SGD."""
    from kdjax.experiment.builders import allow_code

    results = {}
    for rate in (1.0, 3.0, 0.0):
        config = config_of(write(root / "rates.npz"))
        config.optimizer.momentum, config.optimizer.nesterov = 0.0, False
        config.total_steps = 1
        with config.optimizer.unlocked():
            config.optimizer.head_rate = rate
        with allow_code("tests.networks:tiny"):
            run.run(config, root / f"rate{rate}")
            results[rate] = begun_of(config), weights(root / f"rate{rate}")[0]
    return results


def begun_of(config):
    experiment = build(config)
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
    state = jax.jit(lambda: initial_state(experiment.students["ce"], images))()
    return jax.tree.map(np.asarray, state.params)


def test_the_head_moves_by_its_own_rate_and_the_body_as_before(trained):
    start, usual = trained[1.0]
    assert np.abs(usual["Dense_0"]["kernel"] - start["Dense_0"]["kernel"]).max() > 0
    for rate in (3.0, 0.0):
        _, other = trained[rate]
        for key in ("kernel", "bias"):
            begin, moved = start["Dense_0"][key], usual["Dense_0"][key]
            expected = begin + rate * (moved - begin)
            np.testing.assert_allclose(other["Dense_0"][key], expected, rtol=2e-5)
        equal(other | {"Dense_0": 0}, usual | {"Dense_0": 0})
