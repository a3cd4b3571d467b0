"""Modules of NNX and Equinox from Python, sweeps, folders, and interruptions."""

import json
import os
import pathlib
import shutil
import signal

import equinox as eqx
import jax
import numpy as np
import pytest
from flax import nnx

import kdjax
from kdjax import api
from kdjax.api.processes import check_joined
from kdjax.contracts import InputError
from kdjax.models import from_equinox, from_nnx
from kdjax.reporting.grids import Line
from kdjax.reporting.reporter import Reporter
from kdjax.training.loop import Preempted
from tests.api.test_api import DATA, SETTINGS, arrays

CLASSES = 4
# The longer run is then the one that it would have been.
CONSTANT = SETTINGS | {"config": SETTINGS["config"] | {"schedule.name": "constant"}}


@pytest.fixture(scope="module", autouse=True)
def as_users_have_it():
    """Modules of others promote, and know nothing of what our tests forbid."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Net(nnx.Module):
    """Batch norm and dropout, in NNX."""

    def __init__(self, width: int = 8, *, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, width, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.drop = nnx.Dropout(0.2, rngs=rngs)
        self.head = nnx.Linear(width, CLASSES, rngs=rngs)

    def __call__(self, images):
        hidden = nnx.relu(self.norm(self.conv(images))).mean((1, 2))
        return self.head(self.drop(hidden))


class Pixels(nnx.Module):
    """Linear in the pixels: compiles at once."""

    def __init__(self, rngs: nnx.Rngs):
        self.head = nnx.Linear(8 * 8 * 3, CLASSES, rngs=rngs)

    def __call__(self, images):
        return self.head(images.reshape(len(images), -1))


class Layers(eqx.Module):
    """Batch norm and dropout, in Equinox."""

    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    head: eqx.nn.Linear

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(3, 8, 3, padding=1, key=one)
        self.norm = eqx.nn.BatchNorm(8, "batch", mode="batch", momentum=0.9)
        self.drop = eqx.nn.Dropout(0.2)
        self.head = eqx.nn.Linear(8, CLASSES, key=two)

    def __call__(self, image, state, *, key=None):
        hidden, state = self.norm(self.conv(image), state)
        hidden = jax.nn.relu(hidden).mean((1, 2))
        return self.head(self.drop(hidden, key=key)), state


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("modules") / "teacher"
    return kdjax.train(Net, DATA, workdir=workdir, epochs=8, **CONSTANT)


def same(one, other):
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, one, other)))


def test_a_class_of_nnx_is_trained(teacher):
    assert teacher.metrics["top1"] > 60  # of 25 by chance
    right = teacher.logits(DATA["test"][0]).argmax(-1) == DATA["test"][1]
    assert 100 * right.mean() == pytest.approx(teacher.metrics["top1"])
    assert teacher.params["head"]["kernel"].shape == (8, CLASSES)
    assert not same(teacher.batch_stats["norm"]["mean"], np.zeros(8))
    for network in (Net, lambda rngs: Net(rngs=rngs), Net(rngs=nnx.Rngs(9))):
        again = kdjax.load(teacher.workdir, network=network)
        assert same(again.params, teacher.params) and again.metrics == teacher.metrics


def test_weights_that_were_not_evaluated_have_no_metrics(teacher, tmp_path):
    """Of a run that was stopped after its last evaluation, and saved."""
    workdir = shutil.copytree(teacher.workdir, tmp_path / "w")
    for checkpoint in ("best", "latest"):
        own = kdjax.load(workdir, network=Net, checkpoint=checkpoint)
        right = own.logits(DATA["test"][0]).argmax(-1) == DATA["test"][1]
        assert own.metrics["top1"] == pytest.approx(100 * right.mean())
    rows = [row | {"step": row["step"] - 1} for row in own.rows]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (workdir / "metrics.jsonl").write_text(lines)
    assert kdjax.load(workdir, network=Net).metrics == {}


def test_a_run_of_dropout_that_was_interrupted_has_the_same_bits(
    teacher, monkeypatch, tmp_path
):
    """As by the stop button of a notebook; signals are handled as before afterwards."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train, calls = Reporter.train, []

    def interrupted(self, step, *rest):
        train(self, step, *rest)
        if not calls:
            os.kill(os.getpid(), signal.SIGINT)
        calls.append(step)

    monkeypatch.setattr(Reporter, "train", interrupted)
    often = CONSTANT | {"config": CONSTANT["config"] | {"log_every_steps": 5}}
    with pytest.raises(Preempted, match="state is saved"):
        kdjax.train(Net, DATA, workdir=tmp_path, epochs=8, **often)
    assert 0 < calls[0] < 24
    resumed = kdjax.train(Net, DATA, workdir=tmp_path, epochs=8, **often)
    assert same(resumed.params, teacher.params)
    assert same(resumed.batch_stats, teacher.batch_stats)
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert after == before


def test_a_function_of_equinox_learns_of_a_teacher_in_memory(teacher, tmp_path):
    student = kdjax.distill(
        Layers, teacher, DATA, workdir=tmp_path, epochs=4, **SETTINGS
    )
    images, _ = DATA["test"]
    agree = student.logits(images).argmax(-1) == teacher.logits(images).argmax(-1)
    assert student.metrics["agreement"] == pytest.approx(100 * agree.mean())
    assert student.batch_stats["norm"]["batch_counter"]["0"] == 12  # steps
    given = {"network": Layers, "teacher": teacher}
    again = kdjax.evaluate(tmp_path, **given)["kd"]
    assert again["agreement"] == pytest.approx(student.metrics["agreement"])
    assert "agreement" not in kdjax.evaluate(tmp_path, network=Layers)["kd"]


@pytest.mark.parametrize("library", ["nnx", "equinox"])
def test_a_trained_module_teaches_with_its_own_weights(library, tmp_path):
    images, _ = DATA["test"]
    if library == "nnx":
        module = Net(rngs=nnx.Rngs(3))
        given, network = module, from_nnx(module)
    else:
        given = eqx.nn.make_with_state(Layers)(jax.random.key(3))
        network = from_equinox(*given)
    student = kdjax.distill(
        Pixels, given, DATA, workdir=tmp_path, epochs=0.1, **SETTINGS
    )
    normalisation = student.data["normalisation"]
    mean, std = (np.array(normalisation[key], np.float32) for key in ("mean", "std"))
    inputs = (images / np.float32(255) - mean) / std
    logits = network.evaluate(*network.init(None, None), inputs).logits
    agree = np.argmax(logits, -1) == student.logits(images).argmax(-1)
    assert student.metrics["agreement"] == pytest.approx(100 * agree.mean())


def test_a_sweep_gives_means_and_deviations_over_seeds(tmp_path, monkeypatch):
    """Of two methods and two seeds; the numbers from the trials' own files."""
    axes = {"method.label_smoothing": (0.0, 0.5), "seed": (0, 1)}
    given = {"workdir": tmp_path, "epochs": 1, "method": "ce", **SETTINGS}
    results = kdjax.sweep(axes, Pixels, None, DATA, **given)
    values = [one.values for one in results]
    assert values == [{"method.label_smoothing": text} for text in ("0.0", "0.5")]
    for one in results:
        top1 = [top1_of(workdir) for workdir in one.workdirs]
        assert one.seeds == 2 and one.failed == [] and len(top1) == 2
        assert one.metrics["top1"] == pytest.approx(np.mean(top1))
        assert one.deviations["top1"] == pytest.approx(np.std(top1, ddof=1))
    trial = kdjax.load(results[0].workdirs[1], network=Pixels)
    images, labels = DATA["test"]
    right = 100 * np.mean(trial.logits(images).argmax(-1) == labels)
    assert right == pytest.approx(top1_of(results[0].workdirs[1]))
    scores = kdjax.evaluate(results[0].workdirs[1], network=Pixels)
    assert scores["ce"]["top1"] == top1_of(results[0].workdirs[1])
    with pytest.raises(InputError, match="student is 'kd'; .* has ce"):
        kdjax.evaluate(results[0].workdirs[1], network=Pixels, student="kd")
    monkeypatch.setattr("kdjax.sweeps.run._run_job", None)  # nothing is left to do
    assert kdjax.sweep(axes, Pixels, None, DATA, **given) == results
    other = DATA | {"test": arrays(32, seed=3)}
    with pytest.raises(InputError, match="a run on other images or labels"):
        kdjax.sweep(axes, Pixels, None, other, **given)


def top1_of(workdir: pathlib.Path) -> float:
    summary = json.loads((workdir / "summary.json").read_text())
    return summary["students"]["ce"]["metrics"]["top1"]


def test_a_trial_that_failed_has_no_part_in_the_mean(tmp_path):
    def line(name, state, **cells):
        metrics = {"top1": float(cells["seed"])} if state == "done" else {}
        return Line(name, cells, "ce", state, metrics, 1.0)

    lines = [
        line("a0", "done", alpha="1", seed="10"),
        line("a1", "failed", alpha="1", seed="20"),
        line("b0", "failed", alpha="2", seed="30"),
    ]
    one, none = api._over_seeds(tmp_path, lines)
    assert one.values == {"alpha": "1"} and one.seeds == 1 and one.failed == ["a1"]
    assert one.metrics == {"top1": 10.0} and one.deviations == {"top1": None}
    assert one.workdirs == [tmp_path / "a0", tmp_path / "a1"]
    assert none.metrics == {} and none.seeds == 0 and none.failed == ["b0"]


@pytest.mark.errors
def test_a_sweep_without_axes_is_refused(tmp_path):
    with pytest.raises(InputError, match="the grid has no axis"):
        kdjax.sweep({}, Net, None, DATA, workdir=tmp_path, epochs=1, method="ce")
    with pytest.raises(InputError, match="config.optimiser"):
        axes = {"optimiser.momentum": (0.5, 0.9)}
        kdjax.sweep(axes, Pixels, None, DATA, workdir=tmp_path, epochs=1, method="ce")


@pytest.mark.errors
def test_processes_that_jax_joined_alone_are_refused(tmp_path, monkeypatch):
    """By jax.distributed.initialize(): each would write, and none would wait."""
    given, one = (
        {"workdir": tmp_path / "w", "epochs": 1, "method": "ce"},
        {"seed": (0,)},
    )
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    check_joined()  # one process may call it too
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    for call in (
        lambda: kdjax.distill(Pixels, None, DATA, **given),
        lambda: kdjax.sweep(one, Pixels, None, DATA, **given),
        lambda: kdjax.evaluate(tmp_path / "w"),
    ):
        with pytest.raises(InputError, match="2 processes.* --processes=2 --process=0"):
            call()
    assert not (tmp_path / "w").exists()


@pytest.mark.errors
@pytest.mark.parametrize("number", (0, -1, 2.5))
def test_no_student_at_a_time_is_refused(tmp_path, number):
    given = {"workdir": tmp_path / "w", "students_per_program": number, "epochs": 1}
    message = f"^students_per_program is {number}; expected a whole number, 1 or more"
    with pytest.raises(InputError, match=message):
        kdjax.sweep({"seed": (0,)}, Pixels, None, DATA, method="ce", **given)
    assert not (tmp_path / "w").exists()


@pytest.mark.errors
def test_errors_of_ones_own_code_name_their_place(tmp_path):
    class Broken(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.head = nnx.Linear(3, CLASSES, rngs=rngs)

        def __call__(self, images):
            return self.tail(images)

    place = r"test_api_modules.py:\d+ in __call__: AttributeError"
    with pytest.raises(InputError, match=place):
        kdjax.train(Broken, DATA, workdir=tmp_path, epochs=1, **SETTINGS)


def test_a_folder_of_images_is_data(tmp_path):
    import cv2

    for split, (images, labels) in zip(("train", "val"), DATA.values(), strict=True):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = tmp_path / "My photos" / split / "abcd"[label]
            path.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path / f"{number:03}.png"), image[..., ::-1])
    given = {"workdir": tmp_path / "run", "epochs": 0.1, **SETTINGS}
    trained = kdjax.train(Pixels, tmp_path / "My photos", **given)
    assert trained.data["class_names"] == list("abcd")
    assert trained.data["train"]["num_examples"] == 96
    again = kdjax.train(Pixels, str(tmp_path / "My photos"), **given)
    assert again.metrics == trained.metrics


def test_a_network_with_weights_of_its_own_may_teach(tmp_path):
    network = from_nnx(Pixels)
    pair = network.init(jax.random.key(5), None)
    teacher = network._replace(init=lambda key, images: pair)
    student = kdjax.distill(
        Pixels, teacher, DATA, workdir=tmp_path, epochs=0.1, **SETTINGS
    )
    assert "agreement" in student.metrics
