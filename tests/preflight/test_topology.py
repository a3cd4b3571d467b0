"""Names of slices, and what is said where the compiler is not installed."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from kdjax.contracts import InputError
from kdjax.preflight import topology

ROOT = pathlib.Path(__file__).parent.parent.parent
HERE = importlib.util.find_spec("libtpu") is not None


@pytest.mark.parametrize("name", ["", "v5e", "v5e-16", "v5e:16", "v5e:0x4", "4x4"])
def test_what_is_no_slice_is_refused(name):
    with pytest.raises(InputError, match="such as v4:2x2x4"):
        topology.prepare(name)


def test_without_the_compiler_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install '\.\[preflight\]'"):
        topology.prepare("v5e:4x4")


@pytest.mark.skipif(not HERE, reason="libtpu is not installed: make preflight")
@pytest.mark.parametrize(
    ("name", "kind", "chips"),
    [("v5e:2x4", {"TPU v5 lite"}, 8), ("v5p:2x2x4", {"TPU v5", "TPU v5p"}, 16)],
)
def test_a_step_compiles_for_chips_that_are_not_there(name, kind, chips):
    words = ["--pair=tests.networks:linear,tests.networks:tiny", "--image_size=32"]
    words += ["--classes=10", f"--batch_size={chips * 8}", "--probes=0", "--json"]
    command = [sys.executable, "-m", "kdjax", "compile", f"--topology={name}", *words]
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ, cwd=ROOT, timeout=600
    )
    assert result.returncode == 0, result.stderr
    row = json.loads(result.stdout.splitlines()[-1])
    assert row["device"] in kind and (row["devices"], row["rows"]) == (chips, 8)
    assert row["fits"] is True and row["temporaries"] > 0
    assert row["collectives"]["all-reduce"]["bytes"] > 0
