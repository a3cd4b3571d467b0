"""The table of a sweep: means over seeds, rows without numbers."""

import json
import math

import pytest

from kdjax.reporting.grids import Line, as_json, means, print_lines


def line(seed, method, **metrics):
    state = "done" if metrics else "failed"
    cells = {"method": method, "seed": str(seed)}
    return Line(f"{method}-{seed}", cells, method, state, metrics, 1.0)


def test_means_are_over_seeds_and_of_what_was_measured(capsys):
    lines = [line(0, "kd", top1=50.0, agreement=80.0), line(1, "kd", top1=53.0)]
    lines += [line(2, "kd", top1=59.0), line(0, "ce", top1=float("nan")), line(1, "ce")]
    kd, ce = means(lines)
    # Mean 54; squares 16 + 1 + 25 = 42, over 2.
    assert kd["mean"] == {"top1": 54.0} and kd["seeds"] == 3
    assert kd["deviation"]["top1"] == pytest.approx(21**0.5)
    assert ce["seeds"] == 1 and math.isnan(ce["deviation"]["top1"])
    assert means([line(0, "kd", top1=3.0)])[0]["deviation"] == {"top1": None}
    nan = means([line(seed, "kd", top1=float("nan")) for seed in (0, 1)])
    assert math.isnan(nan[0]["deviation"]["top1"])
    text = json.dumps(as_json(lines), allow_nan=False)
    assert json.loads(text)["over_seeds"][1]["mean"] == {"top1": None}
    print_lines(lines)
    out = capsys.readouterr().out
    assert "54.00 ± 4.58" in out and "failed" in out
    print_lines([lines[0]._replace(cells={"data.train": "train[:10], [red]"})])
    assert "train[:10], [red]" in capsys.readouterr().out
    bare = [row._replace(cells={"method": "kd"}) for row in lines]
    assert means(bare) == []
