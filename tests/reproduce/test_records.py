"""What records say of the code, and which may lie together in a directory."""

import subprocess

import pytest

from kdjax.cli import reproduce
from kdjax.contracts import InputError
from kdjax.reporting.files import replace_record
from kdjax.reproduce import pages, records, tables
from kdjax.reproduce import run as trainings
from kdjax.reproduce.plans import Pair, Run
from tests.reproduce import stored

STUDY = "fashion_mnist-teachers"


def add(root, machine, weights, run="rules-noisy-seed0", dtype="float32"):
    """A finished run of a machine, with weights of a digest, recorded below `root`."""
    workdir = root / machine / run
    workdir.mkdir(parents=True)
    own = stored.record(STUDY, run, 0, {"kd": 70.0}, dtype=dtype)
    own["students"]["kd"]["digest"] = weights
    replace_record(workdir / records.RECORD, own)
    one = Run(run, {"select": {}}, Pair("noisy", "student"))
    records.add(STUDY, "command", root / "results", lambda *_: None, one, workdir)


def test_a_run_of_other_weights_is_refused_and_the_same_ones_are_kept(tmp_path):
    add(tmp_path, "here", "a")
    add(tmp_path, "twin", "a")
    add(tmp_path, "here", "b", run="rules-noisy-seed01")
    add(tmp_path, "half", "c", dtype="bfloat16")  # has rows of its own
    first = sorted((tmp_path / "results").iterdir())
    assert len(first) == len(tables.read(STUDY, tmp_path / "results")) == 3
    message = "-rules-noisy-seed0-[0-9a-f]+.json records the same run, of other weights"
    with pytest.raises(InputError, match=message):
        add(tmp_path, "other", "d")
    assert sorted((tmp_path / "results").iterdir()) == first


def test_what_is_recorded_by_others_is_refused_before_anything_is_trained(tmp_path):
    add(tmp_path, "here", "a")
    pair = Pair("noisy", "student")
    names = ("noisy", "rules-noisy-seed0", "rules-noisy-seed01")
    runs = [Run(name, {"select": {}}, pair) for name in names]
    where = STUDY, runs, tmp_path / "here", tmp_path / "results"
    records.check_free(*where, "float32")  # its own
    there = *where[:2], tmp_path / "there"
    with pytest.raises(InputError, match="records the same run.*Expected.*--results="):
        records.check_free(*there, tmp_path / "results", "float32")
    records.check_free(*there, tmp_path / "results", "bfloat16")
    records.check_free(*there, tmp_path / "none", "float32")


def test_the_command_asks_before_it_trains(tmp_path, monkeypatch):
    """Its records come with kdjax: no other machine makes the same weights."""
    monkeypatch.setattr(trainings, "run", lambda *_: pytest.fail("it trains"))
    with pytest.raises(InputError, match="fashion_mnist-teachers-.*--results=DIR"):
        reproduce.main([STUDY, f"--runs={tmp_path}"])


def test_a_package_below_the_users_own_repository_has_no_commit(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    subprocess.run([*git[:3], "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    monkeypatch.setattr(pages, "CHECKOUT", tmp_path)
    assert records._commit() and head.stdout.startswith(records._commit())
    installed = tmp_path / ".venv" / "site-packages"
    installed.mkdir(parents=True)
    monkeypatch.setattr(pages, "CHECKOUT", installed)
    assert records._commit() == ""
