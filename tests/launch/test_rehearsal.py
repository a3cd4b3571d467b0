"""accelerator.sh from its first stage to its table, shrunken, on a CPU."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks import accelerator
from tests.launch.standins import LAUNCH, ROOT

pytestmark = pytest.mark.long
STAGES = ("facts", "wrn_float32", "resnet_bfloat16", "wrn_bfloat16", "grid_bfloat16")


def rehearse(out: pathlib.Path, seconds: int) -> int:
    settings = {"REHEARSAL": "1", "JAX_PLATFORMS": "cpu", "OUT": str(out)}
    settings |= {"PYTHON": sys.executable}
    command = [LAUNCH / "accelerator.sh", str(seconds)]
    result = subprocess.run(command, env=os.environ | settings, cwd=ROOT)
    return result.returncode


def test_all_stages_and_one_table(tmp_path):
    published = ROOT / "benchmarks" / "accelerator.md"
    before = published.read_text() if published.exists() else None
    assert rehearse(tmp_path, 1200) == 0
    for stage in STAGES:
        assert (tmp_path / f"{stage}.done").exists(), (tmp_path / "log").read_text()
    (facts,) = accelerator.lines(tmp_path / "facts.out")
    assert facts["platform"] == "cpu" and facts["versions"]["jax"]
    rows = accelerator.lines(tmp_path / "wrn_float32.out")
    assert [row["mode"] for row in rows] == ["live", "cached", "input"]
    assert all(row["images_per_second"] > 0 for row in rows)
    text = (tmp_path / "accelerator.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| CIFAR, float32")]
    assert len(table) == 3
    assert "| ImageNet, bfloat16, images sent from the host |" in text
    # Of a CPU nothing is published; and what is done is not done again.
    assert before == (published.read_text() if published.exists() else None)
    assert rehearse(tmp_path, 60) == 0
    assert len(accelerator.lines(tmp_path / "wrn_float32.out")) == 3
    assert json.loads((tmp_path / "facts.out").read_text().splitlines()[-1]) == facts
