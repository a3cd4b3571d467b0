"""Names of slices, and the error where the compiler is not installed."""

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
    with pytest.raises(InputError, match="such as v5e:4x4.*v5e and v6e have 1x1, 2x2"):
        topology.describe(name)


def test_without_the_compiler_the_error_is_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"kdjax\[preflight\]', the path"):
        topology.describe("v5e:4x4")


TINY = "--pair=tests.networks:linear,tests.networks:tiny", "--classes=10"
CIFAR = "--pair=resnet56:resnet20", "--classes=100", "--feed=resident"
CIFAR += ("--examples=50000",)
IMAGENET = "--pair=resnet34:resnet18", "--classes=1000", "--image_size=224"
IMAGENET += ("--dtype=bfloat16",)


def compile_for(*words, pair=TINY):
    """The command's row; nothing but its own line is on the terminal."""
    given = ["--image_size=32", "--probes=0", "--json", *pair, *words]
    command = [sys.executable, "-m", "kdjax", "compile", *given]
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ, cwd=ROOT, timeout=600
    )
    assert result.returncode in (0, 2), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return json.loads(result.stdout) if result.stdout else result.stderr


needs_libtpu = pytest.mark.skipif(
    not HERE, reason="libtpu is not installed: make preflight"
)


@needs_libtpu
@pytest.mark.parametrize(
    ("name", "kind", "chips", "gib", "hertz"),
    [
        # What the compiler hands out of 16, 95 and 32 GiB a chip.
        ("v5e:2x4", "TPU v5 lite", 8, 15.75, 1.5e9),
        ("v5p:2x2x4", "TPU v5", 16, 95.74, 1.75e9),
        ("v4:2x2x1", "TPU v4", 4, 30.75, 1.05e9),
    ],
)
def test_a_step_compiles_for_chips_that_are_not_there(name, kind, chips, gib, hertz):
    row = compile_for(f"--topology={name}", f"--batch_size={chips * 8}")
    assert (row["device"], row["devices"], row["rows"]) == (kind, chips, 8)
    assert row["capacity"] == pytest.approx(gib * 2**30, rel=1e-3)
    assert row["fits"] is True and row["code"] > 0
    assert row["collectives"]["all-reduce"]["bytes"] > 0
    assert row["seconds_of_cycles"] == pytest.approx(row["cycles"] / hertz)
    assert 0 < row["seconds_of_bytes"] and row["kernels"] > 10


@needs_libtpu
def test_several_slices_are_one_mesh():
    row = compile_for("--topology=v5e:2x2", "--slices=2", "--batch_size=64")
    assert (row["devices"], row["rows"]) == (8, 8) and row["collectives"]


@needs_libtpu
def test_a_step_that_is_too_large_says_by_how_much():
    row = compile_for("--topology=v5e:2x2", f"--batch_size={1 << 24}")
    assert row["fits"] is False and row["total"] > row["capacity"]
    assert row["advice"][0].endswith("too large for a device")


@needs_libtpu
def test_a_slice_that_does_not_exist_is_refused():
    error = compile_for("--topology=v9:2x2", "--batch_size=64")
    assert "Invalid TPU external name" in error and "v5e and v6e have" in error


@needs_libtpu
@pytest.mark.long
@pytest.mark.parametrize("pair", [CIFAR, IMAGENET])
def test_no_step_has_a_serial_loop(pair):
    """Crops, flips and pooling by loops would wait for each image in turn."""
    row = compile_for("--topology=v5e:2x2", "--batch_size=512", pair=pair)
    assert row["fits"] is True and row["loops"] == []
