"""Single trials of a sweep: those that diverge, have stages, or do not fit."""

import json

import pytest

from kdjax.__main__ import main as kdjax_main
from kdjax.contracts import InputError
from kdjax.reporting.results import read_results
from kdjax.runner import trainer, workdir
from kdjax.runner.trainer import Steps
from kdjax.sweeps import directory
from tests.experiment import configs
from tests.sweeps import sweeps
from tests.sweeps.sweeps import start

ROW = {"model": "tiny", "method": "ce", "metrics": {}}


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    # The number of devices is the tests', settled long before.
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)


@pytest.fixture
def file(data_dir, tmp_path):
    return sweeps.write(tmp_path, data_dir)


def diverge(patch, wanted):
    """Lets every step of some students be skipped, as one with NaN is."""

    class Diverging(Steps):
        def run(self, *args):
            states, metrics = super().run(*args)
            for name, row in metrics.items():
                if wanted in name:
                    row["skipped"] = 1.0
            return states, metrics

    patch.setattr(trainer, "Steps", Diverging)


def test_a_trial_that_diverges_does_not_cost_the_others(
    file, tmp_path, monkeypatch, capsys
):
    kd = configs.METHODS["kd"]
    words = ["--grid.seed=1", "--grid.method={'name': 'ce'}," + str(kd)]
    ce, kd = "seed-1__method-ce", "seed-1__method-kd_alpha-0.9_temperature-4.0"
    with monkeypatch.context() as patch:
        diverge(patch, "method-kd")
        assert start(f"{file}:12", tmp_path / "w", *words) == 3
        err = capsys.readouterr().err
        assert "2 trials: 0 done, 0 failed, 2 in 1 programs, 0 alone" in err
        assert "the other 1 of that program start afresh without it" in err
        assert f"kdjax sweep: failed: {kd}. FAILED in each" in err
        failed = tmp_path / "w" / kd
        assert "not finite in 7 of 12 steps" in (failed / "FAILED").read_text()
        assert not (failed / "DONE").exists()
        done = json.loads((tmp_path / "w" / ce / "DONE").read_text())
        assert done == {"ran": ce}
        results = json.loads((tmp_path / "w" / "results.json").read_text())
        assert [row["state"] for row in results["rows"]] == ["done", "failed"]
        # Not tried again unless requested; then alone, as the other is done.
        patch.setattr(trainer, "train", None)
        assert start(f"{file}:12", tmp_path / "w", *words) == 3
    retry = [*words, "--retry_failed"]
    assert start(f"{file}:12", tmp_path / "w", *retry, "--dry_run") == 0
    assert "1 done, 0 failed, 0 in 0 programs, 1 alone" in capsys.readouterr().out
    assert (failed / "FAILED").exists()
    assert start(f"{file}:12", tmp_path / "w", *retry) == 0
    assert not (failed / "FAILED").exists()
    assert json.loads((failed / "DONE").read_text()) == {"ran": kd}


def test_a_trial_of_several_stages_is_done_when_they_are(file, tmp_path, capsys):
    stages = {
        "first": {"method": {"name": "ce"}, "teacher": {"network": ""}},
        "second": {"teacher": {"network": "", "workdir": "stage:first"}},
    }
    words = [f"--config.stages={stages}", "--config.order=('first', 'second')"]
    words += ["--config.evaluation.every_epochs=0"]
    words += ["--grid.seed=4", "--grid.method={'name': 'mse'}"]
    assert start(f"{file}:2", tmp_path / "w", *words) == 0
    (line,) = json.loads((tmp_path / "w" / "results.json").read_text())["rows"]
    where = tmp_path / "w" / line["row"]
    (result,) = read_results(where / "second")
    assert line["student"] == "mse" and line["metrics"] == result.metrics
    assert (where / "DONE").exists() and not workdir.is_done(where)
    with pytest.raises(InputError, match=r"holds a run .*config\.total_steps was 2"):
        start(f"{file}:3", tmp_path / "w", *words)


def test_a_placeholder_reaches_the_run(file, tmp_path):
    words = ["--config.teacher.network=", "--config.teacher.workdir=nowhere/{seed}"]
    words += ["--grid.seed=9"]
    with pytest.raises(InputError, match="nowhere/9', and there is no such directory"):
        start(file, tmp_path / "w", *words)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("words", "message"),
    (
        (["--students_per_program=0"], "--students_per_program is 0; expected a whole"),
        (["--grid.seed"], "--grid.seed has no value"),
        (["--grid.sead=1"], "Did you mean seed?"),
        (["--config.batch_size=0"], "config.batch_size is 0; expected a whole number"),
        (
            ["--grid.students={'a': {'methods': 1}}"],
            "config.students.a.methods is not read",
        ),
    ),
)
def test_bad_input_exits_with_2(file, tmp_path, capsys, words, message):
    argv = [f"--config={file}", f"--workdir={tmp_path / 'w'}", *words]
    assert kdjax_main(["sweep", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


@pytest.mark.errors
def test_a_grid_that_fails_says_where(tmp_path):
    text = sweeps.CONFIG.format(data_dir="") + "    raise KeyError(arg)\n"
    text = text.replace("    return {", "    {")
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match=r"mine\.py:\d+: KeyError: ''.* get_grid\(arg"):
        start(tmp_path / "mine.py", tmp_path / "w")


def test_a_dry_run_leaves_nothing(file, tmp_path, capsys):
    assert start(file, tmp_path / "w", "--dry_run") == 0
    assert (
        "6 trials: 0 done, 0 failed, 6 in 2 programs, 0 alone"
        in capsys.readouterr().out
    )
    assert not (tmp_path / "w").exists()


def test_unreadable_images_of_a_program_are_in_each_trial(tmp_path):
    config = configs.teacher(tmp_path)
    both = [directory.Trial(name, {}, config) for name in ("a", "b")]
    job = directory.Job(tmp_path / "programs" / "p", both)
    job.workdir.mkdir(parents=True)
    counted = {"count": 2, "first": ["x: cannot be read (y)"]}
    whole = {"seconds": 4.0, "students": {"a": ROW, "b": ROW}}
    whole |= {"identity": {"students": {"a": {}, "b": {}}}}
    (job.workdir / "metrics.jsonl").write_text("")
    (job.workdir / "summary.json").write_text(
        json.dumps(whole | {"unreadable_images": counted})
    )
    directory.finish(tmp_path, job)
    for name in ("a", "b"):
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        assert summary["unreadable_images"] == counted and summary["seconds"] == 2.0


def test_a_selection_of_a_program_is_in_its_trial_alone(tmp_path):
    config = configs.teacher(tmp_path)
    both = [directory.Trial(name, {}, config) for name in ("a", "b")]
    job = directory.Job(tmp_path / "programs" / "p", both)
    job.workdir.mkdir(parents=True)
    kept = {"kept": 3, "samples": 4, "kept_of_class": {"x": 0.75}}
    whole = {"seconds": 4.0, "students": {"a": ROW, "b": ROW}}
    whole |= {"identity": {"students": {"a": {}, "b": {}}}, "selections": {"a": kept}}
    (job.workdir / "metrics.jsonl").write_text("")
    (job.workdir / "summary.json").write_text(json.dumps(whole))
    directory.finish(tmp_path, job)
    a, b = (json.loads((tmp_path / n / "summary.json").read_text()) for n in "ab")
    assert a["selections"] == {"ce": kept} and "selections" not in b
