"""Directories whose names hold the characters of patterns: [, ], * and ?."""

import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.__main__ import main
from kdjax.checkpoints.storage import LiteralPath
from kdjax.distributed import devices
from kdjax.runner import run
from tests.experiment import configs

NAMES = ("run [lr=0.1]", "[a] *?/run")
CONFIG = """
from tests.faults.test_brackets import config

def get_config(arg=""):
    return config(arg)
"""
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("own_networks"),
]


def config(data_dir, teacher="") -> ConfigDict:
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.total_steps = 2
    if teacher:
        config.teacher.workdir = str(teacher)
        config.method = ConfigDict(configs.METHODS["kd"])
    return config


@pytest.fixture(params=NAMES)
def root(request, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "configure", lambda *_: 8)
    return tmp_path / request.param


def test_a_pattern_is_one_only_below_the_directory(tmp_path):
    for name in ("[a]", "a"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "part_0").touch()
    files = list(LiteralPath(tmp_path / "[a]").glob("in*/part_*"))
    assert files == [LiteralPath(tmp_path / "[a]" / "inner" / "part_0")]


def test_every_command_reads_what_training_saved(root, data_dir, capsys):
    run.run(config(data_dir), root)
    assert main(["evaluate", f"--workdir={root}", "--checkpoint=best"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["students"]["ce"]["step"] == 2
    output = root.parent / "out [1].safetensors"
    export = ["export", str(root), "--format=safetensors", f"--output={output}"]
    assert main(export) == 0 and output.is_file()
    students = root.parent / "students [2]"
    run.run(config(data_dir, root), students)
    report = ["report", str(root), str(students), f"--output={root.parent / 'r [3]'}"]
    assert main(report) == 0


def test_a_stopped_run_goes_on(root, data_dir):
    run.run(config(data_dir), root)
    directory = root / "checkpoints"
    before = checkpoints.read_variables(directory, 2, "ce")
    (root / "summary.json").unlink()  # as if it was stopped after its last checkpoint
    run.run(config(data_dir), root)
    after = checkpoints.read_variables(directory, 2, "ce")
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.long
def test_a_sweep_goes_on_and_is_read_again(root, data_dir, tmp_path, capsys):
    (tmp_path / "conf.py").write_text(CONFIG)
    words = [f"--config={tmp_path / 'conf.py'}:{data_dir}", f"--workdir={root}"]
    sweep = ["sweep", *words, "--grid.seed=0,1", "--students_per_program=1"]
    assert main(sweep) == 0
    for name in ("DONE", "summary.json"):  # as if one was stopped after its checkpoint
        (root / "seed-1" / name).unlink()
    assert main(sweep) == 0
    output = capsys.readouterr()
    assert "resuming at step 2 of 2" in output.out + output.err
    results = json.loads((root / "results.json").read_text())
    assert [row["state"] for row in results["rows"]] == ["done", "done"]
