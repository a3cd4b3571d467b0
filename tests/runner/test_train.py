"""Whole runs: teacher, students, resume, and the commands around them."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.cli import evaluate as evaluate_command
from kdjax.cli import report as report_command
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import read_results
from kdjax.runner import trainer as command
from kdjax.runner import workdir as workdirs
from kdjax.runner.trainer import Steps
from kdjax.training.loop import Preempted
from tests.experiment import configs

pytestmark = pytest.mark.usefixtures("own_networks")


@pytest.fixture(scope="module")
def runs(data_dir, tmp_path_factory):
    """A teacher, and three students of it in one program."""
    root = tmp_path_factory.mktemp("runs")
    start(configs.teacher(data_dir), root / "teacher")
    start(configs.students(data_dir, root / "teacher"), root / "students")
    return root


def start(config, workdir):
    experiment = build(config)
    with workdirs.locked(workdir):
        workdirs.check_config(workdir, experiment.config)
        command.train(experiment, workdir)


def variables(workdir):
    meta, _ = checkpoints.read_meta(workdir / "checkpoints")
    return {
        name: checkpoints.read_variables(workdir / "checkpoints", meta["step"], name)
        for name in meta["students"]
    }


def test_a_run_leaves_metrics_and_a_summary(runs):
    rows = read_rows(runs / "students" / "metrics.jsonl")
    train = [row for row in rows if "train/kd/loss" in row]
    assert [row["step"] for row in train] == [2, 4, 6, 8]
    assert train[-1].keys() >= {
        "epoch",
        "seconds",
        "train/images_per_second",
        "train/input_percent",
        "train/kd/loss/hard_label",
        "train/kd/loss/soft_logits",
        "train/mse/gradient_norm",
    }
    last = rows[-1]
    assert last["step"] == 8 and last["epoch"] == 2.0
    results = {r.student: r for r in read_results(runs / "students")}
    assert list(results) == ["ce", "kd", "mse"]
    for name, result in results.items():
        assert result.metrics["count"] == 100
        assert result.metrics["top1"] == last[f"eval/{name}/top1"]
        assert 0 <= result.metrics["agreement"] <= 100
        assert result.metrics["teacher_kl"] > 0


def test_crops_and_flips_reach_the_step(runs, data_dir, tmp_path):
    config = configs.teacher(data_dir)
    config.data.padding, config.data.flip, config.total_steps = 0, False, 2
    start(config, tmp_path / "still")
    moved, still = (
        read_rows(where / "metrics.jsonl")[0]["train/ce/loss"]
        for where in (runs / "teacher", tmp_path / "still")
    )
    assert abs(moved - still) > 1e-4


def test_batch_norms_of_one_device_reach_the_step(runs, data_dir, tmp_path):
    config = configs.teacher(data_dir)
    config.batch_norm, config.total_steps = "device", 2
    start(config, tmp_path / "own")
    together, own = (
        read_rows(where / "metrics.jsonl")[0]["train/ce/loss"]
        for where in (runs / "teacher", tmp_path / "own")
    )
    assert abs(together - own) > 1e-4  # of 8 images on each of 8 devices
    config.batch_norm = "local"
    with pytest.raises(InputError, match="batch_norm is 'local'; expected one of"):
        build(config)


def test_a_student_that_repeats_its_teachers_training_is_its_teacher(
    runs, data_dir, tmp_path
):
    config = configs.students(data_dir, runs / "teacher")
    config.seed = 0
    start(config, tmp_path / "students")
    found = {r.student: r.metrics for r in read_results(tmp_path / "students")}
    assert found["ce"]["agreement"] == 100
    assert found["ce"]["teacher_kl"] < 1e-9
    assert found["mse"]["teacher_kl"] > 1e-6


def test_checkpoints_say_who_taught(runs):
    meta, _ = checkpoints.read_meta(runs / "students" / "checkpoints")
    teacher = variables(runs / "teacher")["ce"]
    assert meta["teacher"]["digest"] == checkpoints.digest(teacher)
    assert meta["teacher"]["step"] == 8
    assert meta["data"]["train"]["num_examples"] == 256
    assert meta["students"]["kd"]["method"]["temperature"] == 4.0


def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
    runs, data_dir, tmp_path, monkeypatch
):
    config = configs.students(data_dir, runs / "teacher")

    class Interrupted(Steps):
        def run(self, states, number, *rest):
            if number == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().run(states, number, *rest)

    monkeypatch.setattr(command, "Steps", Interrupted)
    with pytest.raises(Preempted, match="step 5 of 8"):
        start(config, tmp_path / "students")
    assert not workdirs.is_done(tmp_path / "students")
    monkeypatch.setattr(command, "Steps", Steps)
    start(config, tmp_path / "students")
    whole, resumed = variables(runs / "students"), variables(tmp_path / "students")
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)

    def evaluations(workdir):
        rows = read_rows(workdir / "metrics.jsonl")
        found = [row for row in rows if "eval/kd/top1" in row]
        return [
            {k: v for k, v in row.items() if k not in ("seconds", "time")}
            for row in found
        ]

    assert evaluations(runs / "students") == evaluations(tmp_path / "students")


def test_a_lost_future_is_cut_from_the_metrics(runs, data_dir, tmp_path):
    """Killed after step 8 was logged and before it was saved: step 8 is run again."""
    workdir = tmp_path / "teacher"
    start(configs.teacher(data_dir), workdir)
    before = read_rows(workdir / "metrics.jsonl")
    (workdir / "summary.json").unlink()
    (workdir / "checkpoints" / "8").rename(tmp_path / "gone")
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "torn')
    start(configs.teacher(data_dir), workdir)
    after = read_rows(workdir / "metrics.jsonl")
    assert [r["step"] for r in after] == [r["step"] for r in before]
    assert after[-1]["eval/ce/loss"] == before[-1]["eval/ce/loss"]


def test_evaluate_prints_one_json_line(runs, data_dir, capsys):
    flags = [f"--workdir={runs / 'students'}", f"--data_dir={data_dir}"]
    assert evaluate_command_main(flags) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    line = json.loads(out)
    for result in read_results(runs / "students"):
        found = line["students"][result.student]
        assert found.pop("step") == 8
        assert found == pytest.approx(result.metrics, rel=1e-5)
    assert evaluate_command_main([*flags, "--student=kd", "--split=train[:50]"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert list(line["students"]) == ["kd"]
    assert line["students"]["kd"]["count"] == 50


def evaluate_command_main(flags):
    # The number of devices is the tests', settled long before.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
        return evaluate_command.main(flags)


def test_evaluate_notices_another_teacher(runs, data_dir, tmp_path):
    config = configs.teacher(data_dir)
    config.total_steps, config.seed = 2, 1
    start(config, tmp_path / "teacher")
    config = configs.students(data_dir, tmp_path / "teacher")
    config.total_steps = 2
    start(config, tmp_path / "students")
    import shutil

    shutil.rmtree(tmp_path / "teacher")
    shutil.copytree(runs / "teacher", tmp_path / "teacher")
    (tmp_path / "teacher" / "checkpoints" / "8").rename(
        tmp_path / "teacher" / "checkpoints" / "2"
    )
    flags = [f"--workdir={tmp_path / 'students'}", f"--data_dir={data_dir}"]
    with pytest.raises(InputError, match="not the teacher that the run had"):
        evaluate_command_main(flags)


def test_report_writes_a_page(runs, tmp_path, capsys, as_they_are):
    argv = [str(runs / "teacher"), str(runs / "students")]
    assert report_command.main([*argv, f"--output={tmp_path}", "--title=A & B"]) == 0
    page = (tmp_path / "index.html").read_text()
    assert "<title>A &amp; B</title>" in page
    titles = ("Results", "Compared with", "Training curves", "Throughput")
    for title in (*titles, "Distance of the logits", "Images on which teacher and"):
        assert f"<h2>{title}" in page
    shown = capsys.readouterr().out
    for word in ("teacher", "kd", "mse", "agreement", "one program"):
        assert word in shown


@pytest.mark.errors
def test_another_config_does_not_go_on_in_the_same_directory(runs, data_dir):
    config = configs.students(data_dir, runs / "teacher")
    config.students.kd.method.temperature = 5.0
    message = r"config\.students\.kd\.method\.temperature was 4\.0 and is now 5\.0"
    with pytest.raises(InputError, match=message):
        start(config, runs / "students")


@pytest.mark.errors
def test_a_run_cannot_change_its_teacher_on_the_way(runs, data_dir, tmp_path):
    config = configs.students(data_dir, runs / "teacher")
    config.evaluation.every_epochs = 1.0
    start(config, tmp_path / "students")
    (tmp_path / "students" / "checkpoints" / "8").rename(tmp_path / "gone")
    (tmp_path / "students" / "summary.json").unlink()
    config.teacher.checkpoint = "4"
    with pytest.raises(InputError, match=r"config\.teacher\.checkpoint was 'latest'"):
        start(config, tmp_path / "students")
    # The same words, another teacher: it was trained on in the meantime.
    other = configs.teacher(data_dir)
    other.total_steps = 2
    start(other, tmp_path / "teacher")
    config = configs.students(data_dir, tmp_path / "teacher")
    config.evaluation.every_epochs = 1.0
    with pytest.raises(InputError, match="was trained with teacher digest"):
        start(config, tmp_path / "students")


def test_a_config_that_never_trained_does_not_claim_the_directory(data_dir, tmp_path):
    config = configs.teacher(data_dir)
    config.batch_size = 20
    with pytest.raises(InputError, match="8 devices"):
        start(config, tmp_path / "w")
    config.batch_size, config.total_steps = 24, 1
    start(config, tmp_path / "w")


@pytest.mark.errors
def test_two_runs_do_not_share_a_directory(tmp_path):
    with workdirs.locked(tmp_path / "w"):
        with pytest.raises(InputError, match="another run is writing"):
            with workdirs.locked(tmp_path / "w"):
                raise AssertionError("the lock did not hold")


@pytest.mark.errors
def test_a_batch_that_does_not_divide_among_the_devices(data_dir, tmp_path):
    config = configs.teacher(data_dir)
    config.batch_size = 20
    message = r"config\.batch_size is 20 and there are 8 devices; .* such as 24"
    with pytest.raises(InputError, match=message):
        start(config, tmp_path / "w")


@pytest.mark.errors
def test_a_teacher_of_another_shape_or_normalisation(runs, data_dir):
    config = configs.students(data_dir, runs / "teacher")
    config.data.mean, config.data.std = (0.5,), (0.5,)
    with pytest.raises(
        InputError, match=r"config\.teacher\.workdir: .*with normalisation"
    ):
        build(config)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("key", "value", "message"),
    (
        ("student", "kdd", r"config\.teacher\.student is 'kdd'; that run trained ce"),
        ("checkpoint", "first", r"config\.teacher\.checkpoint is 'first'"),
        ("checkpoint", "7", r"there is no step 7"),
    ),
)
def test_a_teacher_that_the_run_does_not_have(runs, data_dir, key, value, message):
    config = configs.students(data_dir, runs / "teacher")
    config.teacher[key] = value
    with pytest.raises(InputError, match=message):
        build(config)
