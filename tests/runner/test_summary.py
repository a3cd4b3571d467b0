"""What a finished run says of the command that made it."""

import datetime
import pathlib
import subprocess
import sys

import pytest

from kdjax.paths.json_files import check_form
from kdjax.reporting.results import SUMMARY_FORM
from kdjax.runner.summary import provenance

PACKAGE = pathlib.Path(__file__).parents[2] / "kdjax"


@pytest.mark.parametrize(
    "program, command",
    {
        "/usr/bin/kdjax": "kdjax train '--workdir=a b'",
        f"{PACKAGE}/__main__.py": "python -m kdjax train '--workdir=a b'",
        "/home/kdjax/notebook.py": None,
        "-c": None,
    }.items(),
)
def test_the_command_can_be_typed_again(program, command, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "train", "--workdir=a b"])
    record = provenance()
    assert record["command"] == command
    check_form(record, SUMMARY_FORM["provenance?"])
    finished = datetime.datetime.fromisoformat(record["finished"])
    age = datetime.datetime.now(datetime.UTC) - finished
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=1)
    assert record["device"].startswith("8 x CPU device")


def test_the_commit_is_that_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance()["commit"] is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=True)
    assert provenance()["commit"] == head.stdout.decode().strip()
