"""Sweeps whose rows are lines of a file, and single rows for job arrays."""

import json
import re

import pytest

from kdjax.contracts import InputError
from kdjax.runner import trainer
from tests.sweep import sweeps
from tests.sweep.sweeps import start

LINES = [
    {"seed": 3, "method": {"name": "ce"}},
    {"name": "hot-kd", "method": {"name": "kd", "alpha": 1.0, "temperature": 20.0}},
]
NAMES = ["seed-3__method-ce", "hot-kd"]


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    # The number of devices is the tests', settled long before.
    monkeypatch.setattr("kdjax.distributed.devices.configure_cpu", lambda *_: 8)


@pytest.fixture
def file(data_dir, tmp_path):
    return sweeps.write(tmp_path, data_dir)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n\n".join(map(json.dumps, LINES)) + "\n")
    return f"--rows={path}"


def test_rows_one_by_one_on_any_machine_then_all(file, rows, tmp_path, monkeypatch):
    root = tmp_path / "w"
    assert start(file, root, rows, "--row=1") == 0
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
    assert start(file, root, rows, "--row=1") == 0  # given out a second time
    assert trained == []
    assert start(file, root, rows) == 0
    assert trained == NAMES[:1]
    told = json.loads((root / "results.json").read_text())
    assert [row["row"] for row in told["rows"]] == NAMES
    assert json.loads((root / NAMES[0] / "config.json").read_text())["seed"] == 3


def test_a_row_of_a_grid(file, tmp_path, capsys):
    assert start(file, tmp_path / "w", "--row=4", "--dry_run") == 0
    assert f"alone: {sweeps.ROWS[4]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 of .*expected one JSON object"),
        ("[1]", "is no JSON object"),
        ("{}", "it changes no key"),
        ('{"name": "a/b", "seed": 1}', "name is 'a/b'; expected letters"),
        ('{"sed": 1}', "line 2 of .*sed"),
        ('{"seed": "one"}', "line 2 of .*seed"),
        ('{"seed": 3, "method": {"name": "ce"}}', "are the same row"),
        ('{"name": "programs", "seed": 9}', "a row cannot be called programs"),
    ],
)
@pytest.mark.errors
def test_a_line_that_does_not_fit_is_named(file, tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(LINES[0]) + "\n" + line)
    with pytest.raises(InputError, match=message):
        start(file, tmp_path / "w", f"--rows={path}", "--dry_run")


@pytest.mark.errors
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--row=2"], "--row is 2 and there are 2 rows; expected 0 to 1."),
        (["--row=-1"], "--row is -1"),
        (["--grid.seed=1,2"], "--rows and --grid each say"),
    ],
)
def test_what_does_not_go_with_a_file(file, rows, tmp_path, words, message):
    with pytest.raises(InputError, match=re.escape(message)):
        start(file, tmp_path / "w", rows, *words)


@pytest.mark.errors
def test_a_file_without_rows(file, tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        start(file, tmp_path / "w", f"--rows={tmp_path / 'none.jsonl'}")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="has no line"):
        start(file, tmp_path / "w", f"--rows={tmp_path / 'empty.jsonl'}")
