"""Runs of several parts: selections, ensembles, peers, continued training, stops."""

import json
import os
import signal

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import recipes
from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.data.noise import NOISES
from kdjax.experiment.build import build
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import read_results
from kdjax.runner import run, trainer
from kdjax.runner import sample_weights as notes_module
from kdjax.runner import workdir as workdirs
from kdjax.training.loop import Preempted
from tests.experiment import configs

NOISE = {"name": "symmetric", "rate": 0.4, "seed": 888}


def noisy(data_dir) -> ConfigDict:
    config = configs.teacher(data_dir)
    config.method = ConfigDict({"name": "tickets"})
    config.data.noise = ConfigDict(NOISE)
    return config


def variables(workdir, name):
    meta, _ = checkpoints.read_meta(workdir / "checkpoints")
    return checkpoints.read_variables(workdir / "checkpoints", meta["step"], name)


def meta_of(workdir):
    return checkpoints.read_meta(workdir / "checkpoints")[0]


@pytest.fixture(scope="module")
def tickets(data_dir, tmp_path_factory):
    """Proxy, selection, retraining, by one call."""
    root = tmp_path_factory.mktemp("tickets")
    run.run(recipes.tickets(noisy(data_dir), "clk"), root)
    return root


def test_one_command_selects_and_retrains(tickets, data_dir):
    assert [r.run for r in run.results(tickets)] == ["proxy", "retrain"]
    told = json.loads((tickets / "select" / "selection.json").read_text())
    with np.load(tickets / "select" / "selection.npz") as saved:
        keep, labels = saved["keep"], saved["labels"]
    assert told["kept"] == keep.sum() and 0 < keep.sum() < 256
    shares = list(told["kept_of_class"].values())
    expected = [keep[labels == label].mean() for label in np.unique(labels)]
    assert shares == pytest.approx(expected)
    assert told["agreement"].keys() >= {"precision", "recall", "f1", "specificity"}
    clean = build(configs.teacher(data_dir)).train.label
    expected = NOISES["symmetric"](clean, 10, rate=0.4, seed=888)
    np.testing.assert_array_equal(labels, expected)
    precision = (labels == clean)[keep].mean()
    assert told["agreement"]["precision"] == pytest.approx(precision)
    retrained = meta_of(tickets / "retrain")["data"]["train"]
    assert retrained["kept"] == keep.sum()
    assert meta_of(tickets / "proxy")["data"]["train"]["noise"]["rate"] == 0.4
    # As many epochs on fewer samples: fewer steps.
    assert meta_of(tickets / "retrain")["step"] == int(np.ceil(2 * keep.sum() / 64))


def test_what_is_kept_is_what_is_trained_on(tickets, data_dir):
    config = noisy(data_dir)
    config.data.keep = str(tickets / "select")
    experiment = build(config)
    whole = build(noisy(data_dir))
    with np.load(tickets / "select" / "selection.npz") as saved:
        keep = saved["keep"]
    np.testing.assert_array_equal(experiment.train.image, whole.train.image[keep])
    np.testing.assert_array_equal(experiment.train.label, whole.train.label[keep])
    np.testing.assert_array_equal(
        experiment.data.true_labels, whole.data.true_labels[keep]
    )


def test_finished_parts_are_left_alone(tickets, data_dir, monkeypatch):
    monkeypatch.setattr(trainer, "train", None)
    run.run(recipes.tickets(noisy(data_dir), "clk"), tickets)


def test_training_goes_on_from_another_runs_weights(tickets, data_dir, tmp_path):
    config = noisy(data_dir)
    config.initial.workdir = str(tickets / "proxy")
    config.schedule = ConfigDict({"name": "constant", "learning_rate": 1e-9})
    config.optimizer.weight_decay = 0.0
    config.total_steps = 1
    run.run(config, tmp_path / "w")
    before, _ = variables(tickets / "proxy", "tickets")
    after, _ = variables(tmp_path / "w", "tickets")
    close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6)  # noqa: E731
    jax.tree.map(close, before, after)


def test_an_ensemble_teaches_by_the_mean_of_its_members(tickets, data_dir, tmp_path):
    config = configs.students(data_dir, tickets / "proxy")
    config.teacher.workdir = f"{tickets / 'proxy'},{tickets / 'retrain'}"
    methods = {
        "mean": {"name": "ensemble", "combine": "mean_logits", "temperature": 4.0},
        "kd": {"name": "kd", "alpha": 1.0, "temperature": 4.0},
        "sum": {"name": "ensemble", "combine": "sum_logits", "temperature": 4.0},
    }
    config.students = ConfigDict({n: {"method": m} for n, m in methods.items()})
    config.total_steps = 2
    run.run(config, tmp_path / "w")
    row = read_rows(tmp_path / "w" / "metrics.jsonl")[0]
    assert row["train/mean/loss"] == pytest.approx(row["train/kd/loss"], rel=1e-5)
    assert abs(row["train/sum/loss"] - row["train/mean/loss"]) > 1e-5
    who = meta_of(tmp_path / "w")["teacher"]
    assert who["workdir"].count(",") == 1 and who["student"] == "tickets,tickets"


@pytest.mark.long
def test_two_networks_train_each_other_and_teach_later(data_dir, tmp_path):
    config = noisy(data_dir)
    config.method = ConfigDict(
        {"name": "coteaching", "noise_rate": 0.4, "gradual_epochs": 1}
    )
    run.run(config, tmp_path / "w")
    params, _ = variables(tmp_path / "w", "coteaching")
    assert list(params) == ["member0", "member1"]
    config = configs.students(data_dir, tmp_path / "w")
    config.total_steps = 1
    run.run(config, tmp_path / "students")
    assert "agreement" in read_results(tmp_path / "students")[0].metrics


def test_training_stops_when_the_training_accuracy_is_there(data_dir, tmp_path):
    config = configs.teacher(data_dir)
    config.stop_at_train_top1 = 1.0  # chance is 10 %
    run.run(config, tmp_path / "w")
    assert meta_of(tmp_path / "w")["step"] == 4  # the first evaluation of two
    result = read_results(tmp_path / "w")[0]
    assert 1.0 <= result.metrics["train_top1"] <= 100.0
    (tmp_path / "w" / "summary.json").unlink()  # killed just before it was written
    run.run(config, tmp_path / "w")
    assert meta_of(tmp_path / "w")["step"] == 4


def selecting(data_dir, teacher, **selection) -> ConfigDict:
    config = configs.students(data_dir, teacher)
    config.students = ConfigDict()
    config.method = ConfigDict({"name": "ds", "temperature": 4.0})
    config.selection = ConfigDict({"name": "influence", **selection})
    return config


def test_the_teacher_is_heard_where_the_reference_says(
    tickets, data_dir, tmp_path, capsys
):
    proxy = str(tickets / "proxy")
    config = selecting(data_dir, proxy, reference=proxy, keep_ratio=0.75)
    run.run(config, tmp_path / "w")
    saved = list((tmp_path / "w" / "sample_info" / "ds").iterdir())
    assert [path.name for path in saved] == ["0.npz"]
    with np.load(saved[0]) as found:
        chosen = found["selection"]
    assert chosen.sum() == 192 and set(chosen) == {0.0, 1.0}
    line = "selection of ds, before step 0: 192 of 256 samples; of a class "
    assert line in capsys.readouterr().err
    summary = json.loads((tmp_path / "w" / "summary.json").read_text())
    record, labels = summary["selections"]["ds"], build(config).train.label
    assert (record["kept"], record["samples"]) == (192, 256)
    assert list(record["kept_of_class"].values()) == pytest.approx(
        [chosen[labels == label].mean() for label in range(10)]
    )
    # The select command, asked the same, keeps the same.
    config = configs.students(data_dir, proxy)
    config.select = ConfigDict(
        {"name": "influence", "reference": proxy, "keep_ratio": 0.75}
    )
    run.run(config, tmp_path / "s")
    with np.load(tmp_path / "s" / "selection.npz") as found:
        np.testing.assert_array_equal(found["keep"], chosen == 1)


def test_renewed_selections_survive_a_stop_bit_for_bit(
    tickets, data_dir, tmp_path, monkeypatch
):
    proxy = str(tickets / "proxy")
    config = selecting(data_dir, proxy, first_epoch=0.25, every_epochs=0.5)
    run.run(config, tmp_path / "whole")
    steps = sorted(int(p.stem) for p in (tmp_path / "whole/sample_info/ds").iterdir())
    assert steps == [1, 3, 5, 7]
    original = notes_module.SampleInfo.before

    def interrupted(self, step, states):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, step, states)

    monkeypatch.setattr(notes_module.SampleInfo, "before", interrupted)
    with pytest.raises(Preempted):
        run.run(config, tmp_path / "parts")
    monkeypatch.setattr(notes_module.SampleInfo, "before", original)
    run.run(config, tmp_path / "parts")
    both = [variables(tmp_path / name, "ds") for name in ("whole", "parts")]
    jax.tree.map(np.testing.assert_array_equal, *both)


def test_dividemix_divides_the_set_each_epoch(data_dir, tmp_path):
    config = noisy(data_dir)
    config.method = ConfigDict({"name": "dividemix", "warmup_epochs": 1.0})
    config.selection = ConfigDict(
        {"name": "dividemix", "detector": "clk", "warmup_epochs": 1.0}
    )
    run.run(config, tmp_path / "w")
    with np.load(tmp_path / "w" / "sample_info" / "dividemix" / "4.npz") as found:
        clean = found["clean"]
    assert clean.shape == (256, 2) and 0 < (clean > 0).sum() < 512
    assert ((clean == 0) | (clean > 0.5)).all()
    assert read_results(tmp_path / "w")[0].metrics["count"] == 100


@pytest.mark.errors
def test_what_cannot_run_says_so_before_it_does(tickets, data_dir, tmp_path):
    proxy = str(tickets / "proxy")

    def refused(config, message):
        with pytest.raises(InputError, match=message):
            build(config)

    config = configs.students(data_dir, proxy)
    config.students = ConfigDict()
    config.method = ConfigDict({"name": "lr_ds"})
    refused(config, r"lr_ds needs 'selection'.*config\.selection to choose")
    config.method = ConfigDict({"name": "ensemble"})
    refused(config, "ensemble needs several teachers.*separated by commas")
    config.method = ConfigDict({"name": "dividemix", "warmup_epochs": 1.0})
    refused(config, r"dividemix needs 'clean'.*config\.selection\.name = 'dividemix'")
    refused(selecting(data_dir, proxy), "expected reference.*untrained")
    refused(
        selecting(data_dir, proxy, first_epoch=1.0, estimator="tracin"), "estimator"
    )
    config = selecting(data_dir, proxy, first_epoch=1.0)
    config.teacher.checkpoint = "8,8,8"
    refused(config, r"config\.teacher\.checkpoint names 3, and workdir names 1")
    config = noisy(data_dir)
    config.data.keep = str(tmp_path)
    refused(config, r"config\.data\.keep .*no such file")
    config.data.keep, config.data.noise.seed = str(tickets / "select"), 1
    refused(config, "made for other labels")
    config = noisy(data_dir)
    config.initial.workdir = proxy
    config.model.width = 8
    with pytest.raises(InputError, match=r"config\.initial: .*the same config\.model"):
        run.run(config, tmp_path / "w")


@pytest.mark.errors
def test_a_selection_of_another_config_is_not_overwritten(tickets, data_dir):
    parts = recipes.tickets(noisy(data_dir), "fine")
    with pytest.raises(InputError, match=r"select\.detector was 'clk' and is now"):
        run.run(parts, tickets)
    assert workdirs.is_done(tickets / "select")


def test_a_stage_that_is_added_to_finished_ones_is_one_of_the_run(data_dir, tmp_path):
    config, stages = configs.teacher(data_dir), {}
    for name in ("first", "second"):
        stages[name] = {"select": {"name": "random", "keep_ratio": 0.5}}
        config.stages, config.order = ConfigDict(stages), tuple(stages)
        run.run(config, tmp_path)
        assert workdirs.is_finished(tmp_path)
        assert list(workdirs.read_config(tmp_path)["order"]) == list(stages)
    (tmp_path / "second" / "selection.json").unlink()
    assert not workdirs.is_finished(tmp_path)
