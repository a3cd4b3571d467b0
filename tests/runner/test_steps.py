"""A run whose steps come several at a time, as on an accelerator."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.reporting.reporter import read_rows
from kdjax.runner import run
from kdjax.runner import steps as module
from kdjax.training import stack
from tests.experiment import configs


def trained(data_dir, workdir):
    """Five epochs of four steps; every epoch and a half the student drops samples."""
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.method = ConfigDict({"name": "ce"})
    config.schedule.learning_rate = 0.01
    config.total_epochs, config.log_every_steps = 5.0, 3
    config.selection = ConfigDict(
        {
            "name": "detector",
            "detector": "clk",
            "first_epoch": 1.25,
            "every_epochs": 1.5,
        }
    )
    run.run(config, workdir)
    return read_rows(workdir / "metrics.jsonl"), {
        int(path.stem) for path in (workdir / "sample_info" / "ce").glob("*.npz")
    }


def grid(data_dir, workdir, stacked):
    """Two students of one network; their weights when the run ends."""
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.students = ConfigDict(
        {name: {"method": {"name": name}} for name in ("ce", "gce")}
    )
    config.stacked = stacked
    run.run(config, workdir)
    saved = workdir / "checkpoints"
    last = checkpoints.read_meta(saved)[0]["step"]
    return {n: checkpoints.read_variables(saved, last, n) for n in config.students}


def test_students_of_one_network_share_it_where_the_config_says_so(
    data_dir, tmp_path, monkeypatch
):
    taken, together = [], stack.update_stacked

    def update_stacked(students, *rest):
        taken.append(list(students))
        return together(students, *rest)

    monkeypatch.setattr(stack, "update_stacked", update_stacked)
    wanted = grid(data_dir, tmp_path / "copies", stacked=False)
    assert not taken
    found = grid(data_dir, tmp_path / "stacked", stacked=True)
    assert taken == [["ce", "gce"]]
    close = {"rtol": 1e-5, "atol": 1e-6}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), found, wanted)


def test_it_reads_the_notes_and_tells_the_numbers_of_single_steps(
    data_dir, tmp_path, monkeypatch
):
    rows, renewed = trained(data_dir, tmp_path / "one")
    monkeypatch.setattr(module, "steps_per_dispatch", lambda platform: 8)
    several, when = trained(data_dir, tmp_path / "several")
    assert when == renewed == {5, 11, 17}
    timing = ("seconds", "train/images_per_second", "train/input_percent")
    assert len(several) == len(rows)
    for told, row in zip(several, rows, strict=True):
        left = {key: value for key, value in row.items() if key not in timing}
        assert {key: told[key] for key in left} == pytest.approx(left, rel=1e-4)
