"""A run with several steps in a dispatch, as on an accelerator."""

import pytest
from ml_collections import ConfigDict

from kdjax.reporting.reporter import read_rows
from kdjax.runner import run, trainer
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


def test_it_reads_the_sample_info_and_reports_the_metrics_of_single_steps(
    data_dir, tmp_path, monkeypatch
):
    rows, renewed = trained(data_dir, tmp_path / "one")
    monkeypatch.setattr(trainer, "steps_per_dispatch", lambda platform: 2)
    dispatches, run_steps = [], trainer.Steps.run

    def recorded(steps, states, number, count, batch_specs):
        dispatches.append((number, count))
        return run_steps(steps, states, number, count, batch_specs)

    monkeypatch.setattr(trainer.Steps, "run", recorded)
    several, when = trained(data_dir, tmp_path / "several")
    assert when == renewed == {5, 11, 17}
    # Rows after steps 3, 6 and so on, evaluations after 4, 8 and so on: what is left
    # over before them comes first. Step 5 is the first one with other samples.
    assert dispatches[:7] == [(0, 1), (1, 2), (3, 1), (4, 1), (5, 1), (6, 2), (8, 1)]
    timing = ("seconds", "time", "train/images_per_second", "train/input_percent")
    assert len(several) == len(rows)
    for told, row in zip(several, rows, strict=True):
        left = {key: value for key, value in row.items() if key not in timing}
        assert {key: told[key] for key in left} == pytest.approx(left, rel=1e-4)
