"""The denominator of a student's objective, from a config and from a begun run."""

import contextlib
import inspect

import jax
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment import denominators
from kdjax.experiment.build import build
from kdjax.experiment.selection import SELECTIONS
from kdjax.methods import METHODS
from kdjax.runner import run, trainer
from tests.experiment import configs

HALF = {"name": "random", "keep_ratio": 0.5}
DS = {"name": "ds", "temperature": 4.0}
KD = {"name": "kd", "alpha": 1.0, "temperature": 4.0}


def config_of(data_dir, students) -> ConfigDict:
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:linear"})
    config.teacher.network = "tests.networks:linear"
    config.selection = ConfigDict(HALF)
    config.students = ConfigDict({n: {"method": m} for n, m in students.items()})
    config.total_steps, config.total_epochs = 2, 0.0
    return config


def denominators_of(experiment) -> dict:
    return {n: s["denominator"] for n, s in experiment.identity["students"].items()}


STUDENTS = {"ds": DS, "ds_batch": DS | {"denominator": "batch"}, "kd": KD}
STUDENTS |= {"lr": {"name": "lr_mse"}, "lr_ds": {"name": "lr_ds"}}
OWN = dict.fromkeys(STUDENTS, "batch") | {"lr": "sets"}


@contextlib.contextmanager
def earlier_version():
    """One in which the default was another."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ds", "lr_ds"):
            defaults = METHODS[name].build.__kwdefaults__
            patch.setitem(defaults, "denominator", "sets")
        patch.setattr(denominators, "DENOMINATOR", "sets")
        yield


def test_an_experiment_says_which_it_has(data_dir):
    config = config_of(data_dir, STUDENTS)
    assert denominators_of(build(config)) == OWN
    config.students.kd.selection = ConfigDict(HALF | {"denominator": "sets"})
    assert denominators_of(build(config)) == OWN | {"kd": "sets"}
    config.students = ConfigDict({"ce": {"method": {"name": "ce"}}})
    assert "denominator" not in build(config).identity["students"]["ce"]


def test_a_new_run_has_the_default_and_a_begun_one_its_own(data_dir):
    config = config_of(data_dir, STUDENTS)
    assert denominators_of(build(config, denominators={})) == OWN
    begun = dict.fromkeys(STUDENTS, "sets")
    result = denominators_of(build(config, denominators=begun))
    assert result == begun | {"ds_batch": "batch"}


def loss_of(workdir):
    step = checkpoints.read_meta(workdir / "checkpoints")[0]["step"]
    return [
        jax.device_get(checkpoints.read_variables(workdir / "checkpoints", step, name))
        for name in ("ds", "kd")
    ]


@pytest.mark.long
def test_a_run_goes_on_with_the_objective_it_began_with(
    data_dir, tmp_path, monkeypatch
):
    students = {"ds": DS, "kd": KD}
    config = config_of(data_dir, students)
    config.evaluation.every_epochs = 0.25  # a checkpoint after each step
    with earlier_version():
        run.run(config, tmp_path / "whole")
        for part in ("that_says_so", "that_has_no_choice"):
            run.run(config, tmp_path / part)
            (tmp_path / part / "summary.json").unlink()
            (tmp_path / part / "checkpoints" / "2").rename(tmp_path / f"{part}-2")
    run.run(config, tmp_path / "that_says_so")
    read = denominators.read_identity

    def read_earlier(directory):
        identity = read(directory)
        if identity:
            for row in identity["students"].values():
                del row["denominator"]
        return identity

    monkeypatch.setattr(denominators, "read_identity", read_earlier)
    run.run(config, tmp_path / "that_has_no_choice")
    run.run(config, tmp_path / "later")
    whole, later = loss_of(tmp_path / "whole"), loss_of(tmp_path / "later")
    for part in ("that_says_so", "that_has_no_choice"):
        assert_same = jax.tree.map(
            lambda a, b: (a == b).all(), loss_of(tmp_path / part), whole
        )
        assert all(jax.tree.leaves(assert_same))
    differ = jax.tree.map(lambda a, b: (a != b).any(), whole, later)
    assert all(any(jax.tree.leaves(one)) for one in differ)


def test_every_selection_for_a_teacher_lists_the_key():
    listed = [
        n
        for n, b in SELECTIONS.items()
        if "denominator" in inspect.signature(b).parameters
    ]
    assert listed == ["file", "random", "detector", "influence"]


@pytest.mark.errors
@pytest.mark.parametrize(
    "method, selection, message",
    [
        (
            KD,
            {"denominator": "samples"},
            "selection.denominator is 'samples'; expected",
        ),
        (DS, {"denominator": "batch"}, "expected config.method.denominator, which ds"),
        (DS | {"denominator": "x"}, {}, "config.method: ds: denominator is 'x'"),
        (KD | {"denominator": "batch"}, {}, "config.method.denominator is not a param"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_trains(
    data_dir, tmp_path, monkeypatch, method, selection, message
):
    monkeypatch.setattr(trainer, "train", None)
    config = config_of(data_dir, {})
    config.method = ConfigDict(method)
    config.selection = ConfigDict(HALF | selection)
    for refuse in (lambda: build(config), lambda: run.check(config, tmp_path)):
        with pytest.raises(InputError, match=message):
            refuse()


@pytest.mark.errors
def test_without_a_teacher_there_is_none(data_dir):
    config = config_of(data_dir, {"ce": {"name": "ce"}})
    config.selection = ConfigDict(HALF | {"denominator": "batch"})
    with pytest.raises(InputError, match="for methods with a teacher; ce is trained"):
        build(config)
