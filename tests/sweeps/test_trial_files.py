"""Sweeps whose trials are lines of a file, and single trials for job arrays."""

import json
import re

import pytest

from kdjax.contracts import InputError
from kdjax.runner import trainer
from tests.sweeps import sweeps
from tests.sweeps.sweeps import start

LINES = [
    {"seed": 3, "method": {"name": "ce"}},
    {"name": "hot-kd", "method": {"name": "kd", "alpha": 1.0, "temperature": 20.0}},
]
NAMES = ["seed-3__method-ce", "hot-kd"]


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    # The number of devices is the tests', settled long before.
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)


@pytest.fixture
def file(data_dir, tmp_path):
    return sweeps.write(tmp_path, data_dir)


@pytest.fixture
def trials(tmp_path):
    path = tmp_path / "trials.jsonl"
    path.write_text("\n\n".join(map(json.dumps, LINES)) + "\n")
    return f"--trials={path}"


def test_trials_one_by_one_on_any_machine_then_all(file, trials, tmp_path, monkeypatch):
    root = tmp_path / "w"
    assert start(file, root, trials, "--trial=1") == 0
    summary = json.loads((root / "hot-kd" / "summary.json").read_text())
    assert summary["students"]["kd"]["method"] == "kd"
    config = json.loads((root / "hot-kd" / "config.json").read_text())
    assert config["method"] == LINES[1]["method"] and config["seed"] == 0
    assert not (root / "results.json").exists() and not (root / NAMES[0]).exists()

    trained = []
    train = trainer.train
    monkeypatch.setattr(
        trainer, "train", lambda *run: trained.append(run[1].name) or train(*run)
    )
    assert start(file, root, trials, "--trial=1") == 0  # assigned a second time
    assert trained == []
    assert start(file, root, trials) == 0
    assert trained == NAMES[:1]
    results = json.loads((root / "results.json").read_text())
    assert [line["row"] for line in results["rows"]] == NAMES
    assert json.loads((root / NAMES[0] / "config.json").read_text())["seed"] == 3


def test_a_trial_of_a_grid(file, tmp_path, capsys):
    assert start(file, tmp_path / "w", "--trial=4", "--dry_run") == 0
    assert f"alone: {sweeps.TRIALS[4]}" in capsys.readouterr().out


def test_the_options_names_of_earlier_versions(file, trials, tmp_path, capsys):
    """Scripts of job arrays use them; the help does not show them."""
    old = [trials.replace("--trials=", "--rows="), "--row=1", "--dry_run"]
    assert start(file, tmp_path / "w", *old) == 0
    assert "alone: hot-kd" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        start(file, tmp_path / "w", "--help")
    text = capsys.readouterr().out
    assert "--trials" in text and "--row" not in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 of .*expected one JSON object"),
        ("[1]", "is no JSON object"),
        ("{}", "it changes no key"),
        ('{"name": "a/b", "seed": 1}', "name is 'a/b'; expected letters"),
        ('{"sed": 1}', "line 2 of .*sed"),
        ('{"seed": "one"}', "line 2 of .*seed"),
        ('{"seed": 3, "method": {"name": "ce"}}', "are the same trial"),
        ('{"name": "programs", "seed": 9}', "a trial cannot be called programs"),
    ],
)
@pytest.mark.errors
def test_a_line_that_does_not_fit_is_named(file, tmp_path, line, message):
    path = tmp_path / "trials.jsonl"
    path.write_text(json.dumps(LINES[0]) + "\n" + line)
    with pytest.raises(InputError, match=message):
        start(file, tmp_path / "w", f"--trials={path}", "--dry_run")


@pytest.mark.errors
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trial=2"], "--trial is 2 and there are 2 trials; expected 0 to 1."),
        (["--trial=-1"], "--trial is -1"),
        (["--grid.seed=1,2"], "--trials and --grid both give"),
    ],
)
def test_what_does_not_go_with_a_file(file, trials, tmp_path, words, message):
    with pytest.raises(InputError, match=re.escape(message)):
        start(file, tmp_path / "w", trials, *words)


@pytest.mark.errors
def test_a_file_without_trials(file, tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        start(file, tmp_path / "w", f"--trials={tmp_path / 'none.jsonl'}")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        start(file, tmp_path / "w", f"--trials={tmp_path / 'empty.jsonl'}")
