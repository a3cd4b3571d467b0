"""kdjax.train, distill, load and evaluate: arrays and modules in, numbers out."""

import dataclasses
import json

import flax.linen as nn
import jax
import numpy as np
import pytest

import kdjax
from kdjax.api.arguments import DEFAULTS
from kdjax.api.config import configured
from kdjax.contracts import InputError
from kdjax.models import from_linen

CLASSES = 4


class Net(nn.Module):
    """A network of the user's."""

    width: int = 4

    @nn.compact
    def __call__(self, images, train: bool):
        hidden = nn.Conv(self.width, (3, 3))(images)
        hidden = nn.relu(nn.BatchNorm(use_running_average=not train)(hidden))
        return nn.Dense(CLASSES)(hidden.mean((1, 2)))


def arrays(count=96, seed=0):
    """Images of four patterns with noise, and their classes."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    patterns = np.random.default_rng(7).integers(0, 256, (CLASSES, 8, 8, 3))
    noisy = patterns[labels] + draw.normal(0, 20, (count, 8, 8, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


DATA = {"train": arrays(), "test": arrays(64, seed=1)}
SETTINGS = {"batch_size": 32, "config": {"data.padding": 0, "data.flip": False}}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("api") / "teacher"
    return kdjax.train(Net(16), DATA, workdir=workdir, epochs=8, **SETTINGS)


@pytest.fixture(scope="module")
def student(teacher):
    workdir = teacher.workdir.parent / "student"
    return kdjax.distill(Net(), teacher, DATA, workdir=workdir, epochs=4, **SETTINGS)


def test_a_module_is_trained_on_arrays(teacher):
    assert teacher.metrics["top1"] > 60  # of 25 by chance
    assert [row["epoch"] for row in teacher.rows if "eval/ce/top1" in row][-1] == 8.0
    images, labels = DATA["test"]
    logits = teacher.logits(images)
    assert logits.shape == (64, CLASSES) and logits.dtype == np.float32
    right = 100 * np.mean(logits.argmax(-1) == labels)
    assert right == pytest.approx(teacher.metrics["top1"])


def test_a_teacher_in_memory_teaches(teacher, student):
    """Its outputs are those of its weights: of the images that both are scored on."""
    images, _ = DATA["test"]
    agree = student.logits(images).argmax(-1) == teacher.logits(images).argmax(-1)
    assert student.metrics["agreement"] == pytest.approx(100 * agree.mean())
    config = json.loads((student.workdir / "config.json").read_text())
    assert config["method"]["name"] == "kd"


def test_the_same_call_returns_what_is_finished(student, teacher, capfd):
    again = kdjax.distill(
        Net(), teacher, DATA, workdir=student.workdir, epochs=4, **SETTINGS
    )
    assert "is finished" in capfd.readouterr().err
    same = jax.tree.map(np.array_equal, again.params, student.params)
    assert all(jax.tree.leaves(same)) and again.metrics == student.metrics


def test_a_teacher_by_its_directory_is_the_same_as_in_memory(tmp_path, capfd):
    """Which has the name of its student, the only one of its run."""
    settings = {"epochs": 1, **SETTINGS}
    teacher = kdjax.train("resnet8", DATA, workdir=tmp_path / "t", **settings)
    given = {"workdir": tmp_path / "s", **settings}
    kdjax.distill("resnet8", str(tmp_path / "t"), DATA, **given)
    kdjax.distill("resnet8", teacher, DATA, **given)
    assert "s is finished" in capfd.readouterr().err
    other = dataclasses.replace(teacher, student="kd")
    with pytest.raises(InputError, match="teacher.student was '' and is now 'kd'"):
        kdjax.distill("resnet8", other, DATA, **given)


def test_evaluate_gives_what_training_gave(teacher):
    metrics = kdjax.evaluate(teacher.workdir, network=Net(16))["ce"]
    assert metrics["top1"] == teacher.metrics["top1"]
    assert metrics["loss"] == pytest.approx(teacher.metrics["loss"], rel=1e-5)


def test_weights_of_ones_own_teach(teacher, tmp_path):
    """As (network, params, batch_stats); a name is trained, a run has its method."""
    given = from_linen(Net(16)), teacher.params, teacher.batch_stats
    method = {"name": "kd", "alpha": 1.0, "temperature": 2.0}
    trained = kdjax.distill(
        *("resnet8", given, DATA),
        workdir=tmp_path,
        epochs=1,
        method=method,
        **SETTINGS,
    )
    assert "agreement" in trained.metrics and not trained.is_provided


def test_a_run_of_a_name_is_loaded_and_resumed_by_commands(tmp_path, capsys):
    from kdjax.__main__ import main

    trained = kdjax.train("resnet8", DATA, workdir=tmp_path, epochs=1, **SETTINGS)
    assert kdjax.load(tmp_path).metrics == trained.metrics
    assert main(["evaluate", f"--workdir={tmp_path}", "--devices=8"]) == 0
    printed = json.loads(capsys.readouterr().out)["students"]["ce"]
    assert printed["top1"] == trained.metrics["top1"]


def test_a_function_that_is_named_is_allowed_by_that(tmp_path):
    name = "tests.networks:linear"
    trained = kdjax.train(name, DATA, workdir=tmp_path, epochs=1, **SETTINGS)
    assert kdjax.load(tmp_path, network=name).metrics == trained.metrics
    # And as a teacher, in the process in which it was trained.
    student = kdjax.distill(
        Net(), trained, DATA, workdir=tmp_path / "student", epochs=1, **SETTINGS
    )
    assert "agreement" in student.metrics
    scores = kdjax.evaluate(student.workdir, network=Net(), teacher=trained)["kd"]
    assert scores["agreement"] == student.metrics["agreement"]
    with pytest.raises(InputError, match="only where you name it"):
        kdjax.load(tmp_path)


class Pairs:
    """As a data set of torchvision: (image, label) by number, and `classes`."""

    classes = ["a", "b", "c", "d"]

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, number):
        return self.images[number], int(self.labels[number])


class Others(Pairs):
    """Of a folder that sorts its classes otherwise."""

    classes = ["d", "c", "b", "a"]


first_channels = arrays()[0].transpose(0, 3, 1, 2), arrays()[1]


def test_an_indexable_is_as_good_as_arrays(tmp_path):
    data = {name: Pairs(*pair) for name, pair in DATA.items()}
    trained = kdjax.train("resnet8", data, workdir=tmp_path, epochs=0.4, **SETTINGS)
    assert trained.data["class_names"] == Pairs.classes


@pytest.mark.errors
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"student": 3}, "student is int; expected a name"),
        ({"student": Net}, "student is .*expected a name.*Net is a class: give Net"),
        ({"student": "resnet9"}, "there is no model 'resnet9'; near are"),
        ({"teacher": 3}, "teacher is int; expected what kdjax.train returned"),
        ({"teacher": (Net(),)}, "teacher is tuple of 1; expected what"),
        ({"teacher": from_linen(Net())}, "teacher is a network whose init draws"),
        ({"teacher": "/nowhere"}, "there is no such directory"),
        (
            {"data": {"train": arrays()}},
            "dict of train; expected a name, a folder.*or a ma",
        ),
        ({"method": "kdd"}, "config.method.name is 'kdd'.*Did you mean kd"),
        ({"config": {"optimiser.momentum": 0.5}}, "config.optimiser.*optimizer"),
        (
            {"config": {"optimizer": {"momentum": 0.5}}},
            "dotted keys, as optimizer.momentum",
        ),
        ({"data": DATA | {"valid": arrays()}}, "of train, test, valid; expected a na"),
        (
            {"data": {"train": Pairs(*arrays()), "test": Others(*arrays())}},
            r"data\['test'\] has the classes d, c, b, a, and data\['train'\] a, b,",
        ),
        (
            {"data": {"train": first_channels, "test": first_channels}},
            r"\(96, 3, 8, 8\), with channels first; expected",
        ),
        ({"batch_size": 16.0}, "batch_size is 16.0; expected a whole number"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; expected a number"),
        ({"teacher": ("resnet8", {}, {})}, r"models.create\('resnet8', num_classes="),
        ({"batch_size": 1000}, "config.batch_size is 1000 and the training set has 96"),
    ],
)
def test_what_cannot_work_is_said(tmp_path, changes, message):
    given = {"student": Net(), "teacher": None, "data": DATA, "method": "ce"}
    given |= {"batch_size": 32} | changes
    positional = [given.pop(name) for name in ("student", "teacher", "data")]
    with pytest.raises(InputError, match=message):
        kdjax.distill(*positional, workdir=tmp_path / "run", epochs=1, **given)


@pytest.mark.errors
def test_arrays_are_not_evaluated(teacher):
    with pytest.raises(InputError, match="data is tuple; .*kdjax.load.*logits"):
        kdjax.evaluate(teacher.workdir, network=Net(16), data=DATA["test"])


def test_values_of_a_config_may_be_of_numpy_and_paths(teacher):
    """As of np.linspace; text of them is no literal."""
    config = {"optimizer.weight_decay": np.float32(0.5)}
    config["initial.workdir"] = teacher.workdir
    config |= {"schedule.name": "step", "schedule.milestones": np.array([0.5])}
    given = DEFAULTS | {"epochs": 1, "batch_size": np.int64(8), "config": config}
    with configured("resnet8", None, "cifar10", teacher.workdir, given) as base:
        assert base.schedule.milestones == (0.5,)
        assert base.optimizer.weight_decay == 0.5 and base.batch_size == 8
        assert base.initial.workdir == str(teacher.workdir)


def test_a_teacher_teaches_with_the_checkpoint_that_was_loaded(tmp_path):
    given = {"workdir": tmp_path / "t", "epochs": 2, **SETTINGS}
    last = kdjax.train("tests.networks:linear", DATA, **given)
    first = kdjax.load(tmp_path / "t", checkpoint=3, network="tests.networks:linear")
    assert not np.array_equal(*(one.logits(DATA["test"][0]) for one in (first, last)))
    given = {"epochs": 0.3, **SETTINGS}
    for teacher, name in ((first, "first"), (last, "last")):
        student = kdjax.distill(
            "tests.networks:linear", teacher, DATA, workdir=tmp_path / name, **given
        )
        pair = [one.logits(DATA["test"][0]).argmax(-1) for one in (student, teacher)]
        agreement = 100 * np.mean(pair[0] == pair[1])
        assert student.metrics["agreement"] == pytest.approx(agreement)
    given["workdir"] = tmp_path / "t"
    (tmp_path / "t/data.npz").rename(tmp_path / "kept.npz")
    other = DATA | {"test": arrays(32, seed=3)}
    with pytest.raises(InputError, match="made with other images or labels than test"):
        kdjax.train("tests.networks:linear", other, **given | {"epochs": 2})
    (tmp_path / "kept.npz").replace(tmp_path / "t/data.npz")
    # With its data.npz: as from the machine that trained it.
    moved = (tmp_path / "t").rename(tmp_path / "moved")
    scores = kdjax.evaluate(moved, network="tests.networks:linear")["ce"]
    assert scores["top1"] == last.metrics["top1"]


@pytest.mark.errors
def test_other_arrays_are_another_run(teacher):
    other = DATA | {"test": arrays(32, seed=3)}
    with pytest.raises(InputError, match="a run on other images or labels"):
        kdjax.train(Net(16), other, workdir=teacher.workdir, epochs=8, **SETTINGS)


@pytest.mark.errors
def test_another_teacher_in_memory_is_another_run(teacher, student):
    """Of the same sizes: its name in the config is the same."""
    params = jax.tree.map(lambda x: x + 1, teacher.params)
    other = from_linen(Net(16)), params, teacher.batch_stats
    given = {"workdir": student.workdir, "epochs": 4, **SETTINGS}
    same = from_linen(Net(16)), teacher.params, teacher.batch_stats
    assert kdjax.distill(Net(), same, DATA, **given).metrics == student.metrics
    with pytest.raises(InputError, match="was made with teacher digest"):
        kdjax.distill(Net(), other, DATA, **given)


@pytest.mark.errors
def test_an_object_is_needed_again(teacher):
    with pytest.raises(InputError, match="was an object in memory.*network="):
        kdjax.load(teacher.workdir)
    with pytest.raises(InputError, match="of the same sizes.*Given is Net-"):
        kdjax.load(teacher.workdir, network=Net(8))


def test_images_of_another_kind_have_no_logits(teacher):
    images, _ = DATA["test"]
    for wrong in (images[:0], images[..., :1], images / np.float32(255)):
        with pytest.raises(InputError, match="logits: images are .* expected uint8"):
            teacher.logits(wrong)
