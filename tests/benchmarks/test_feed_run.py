"""The referee between the loader and tf.data: turns, ratios, and what is left out."""

import importlib.util
import json

import pytest

from benchmarks import feed_run


class Fake:
    """A contestant that takes so many seconds and CPU seconds for a block."""

    def __init__(self, seconds, cpu, order, name):
        self.description = {"version": f"of {name}"}
        self._block = {"seconds": seconds, "cpu_seconds": cpu}
        self._order, self._name = order, name

    def block(self, batches):
        assert batches == 5
        self._order.append(self._name)
        return self._block


def test_ratios_are_taken_within_a_round(monkeypatch):
    monkeypatch.setattr(feed_run, "SETTLE", 0.0)
    options = feed_run.parse(["--rounds=2", "--batches=5", "--batch_size=10"])
    order = []
    workers = {
        "kdjax": Fake(2.0, 4.0, order, "kdjax"),
        "tf.data": Fake(1.0, 5.0, order, "tf.data"),
    }
    blocks = {name: [] for name in workers}
    feed_run.play(workers, blocks, options)
    assert order == ["kdjax", "tf.data", "tf.data", "kdjax"]
    blocks["tf.data"][1]["images_per_second"] = 100.0
    measured = feed_run.result(options, workers, blocks, 2, (1.0, 1.0, 1.0))
    rates = {row["name"]: row["images_per_second"] for row in measured["rows"]}
    assert rates["kdjax"] == {"median": 25.0, "low": 25.0, "high": 25.0}
    assert rates["tf.data"]["low"] == 50.0 and rates["tf.data"]["high"] == 100.0
    (ratio,) = measured["ratios"]
    assert ratio["images_per_second"] == {"median": 0.375, "low": 0.25, "high": 0.5}
    assert ratio["images_per_cpu_second"]["median"] == pytest.approx(1.25)
    text = feed_run.table(measured)
    assert "| tf.data | 0.38 (0.25 - 0.50) | 1.25 (1.25 - 1.25) |" in text
    assert json.loads(json.dumps(measured)) is not None


def test_real_contestants(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(feed_run, "SETTLE", 0.0)
    path = tmp_path / "feed.json"
    small = ["--width=60", "--height=50", "--count=9", "--size=24", "--batch_size=4"]
    flags = ["--rounds=1", "--batches=2", "--threads=1", "--only=kdjax,tf.data"]
    assert feed_run.main([*small, *flags, f"--json={path}"]) == 0
    measured = json.loads(path.read_text())
    installed = importlib.util.find_spec("tensorflow") is not None
    names = [row["name"] for row in measured["rows"]]
    assert names == ["kdjax", "tf.data"][: 1 + installed]
    captured = capfd.readouterr()
    assert (
        "tf.data is left out: pip install tensorflow-cpu" in captured.err
    ) != installed
    assert measured["rows"][0]["images_per_cpu_second"]["low"] > 0
    assert "| kdjax (grain " in captured.out


def test_an_unknown_contestant(capsys):
    assert feed_run.main(["--only=dali", "--count=2", "--width=9", "--height=9"]) == 2
    assert "'dali' is none of kdjax, tf.data" in capsys.readouterr().err
