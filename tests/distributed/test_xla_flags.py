"""Flags are added to $XLA_FLAGS where the user has not set them, and XLA knows them."""

import importlib.metadata
import os
import subprocess
import sys
import types

import jax
import pytest

from kdjax.contracts import InputError
from kdjax.distributed import devices, xla_flags

GPU = xla_flags.GPU_FLAGS[0]
STUCK = "--xla_cpu_collective_call_warn_stuck_timeout_seconds="
ENDED = "--xla_cpu_collective_call_terminate_timeout_seconds="


def test_flags_are_set_once_and_those_of_the_user_stay(monkeypatch):
    theirs = f"--xla_dump_to=/tmp/x {ENDED}90"
    monkeypatch.setenv("XLA_FLAGS", theirs)
    for _ in range(2):
        xla_flags.add(xla_flags.CPU_FLAGS)
        flags = os.environ["XLA_FLAGS"]
        assert flags == f"{theirs} {xla_flags.SINGLE_THREAD} {STUCK}600"
    monkeypatch.delenv("XLA_FLAGS")
    for _ in range(2):
        xla_flags.add(xla_flags.CPU_FLAGS)
        assert os.environ["XLA_FLAGS"].split() == list(xla_flags.CPU_FLAGS)


def test_flags_in_a_file_are_read_as_xla_reads_them(monkeypatch, tmp_path):
    (tmp_path / "flags").write_text(f"{ENDED}90\n--xla_dump_to=/tmp/x\n")
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "flags"))
    xla_flags.add((f"{ENDED}1", GPU))
    assert os.environ["XLA_FLAGS"] == f"{ENDED}90 --xla_dump_to=/tmp/x {GPU}"


@pytest.mark.errors
def test_a_file_of_flags_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "flags"))
    with pytest.raises(InputError, match="XLA_FLAGS is '/.*flags': .*No such file"):
        xla_flags.add((GPU,))


@pytest.mark.parametrize(
    "platforms, plugins, added",
    (
        (None, ["xla_cuda13"], True),
        (None, ["xla_rocm7", "other"], True),
        ("cuda,cpu", [], True),
        (None, [], False),
        ("cpu", ["xla_cuda13"], False),
        ("tpu,cpu", ["xla_cuda13"], False),
    ),
)
def test_flags_of_gpus_are_set_where_jax_may_start_on_some(
    monkeypatch, platforms, plugins, added
):
    monkeypatch.setenv("XLA_FLAGS", "")
    config = types.SimpleNamespace(jax_platforms=platforms)
    monkeypatch.setattr(xla_flags, "jax", types.SimpleNamespace(config=config))
    found = [types.SimpleNamespace(name=name) for name in plugins]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    xla_flags.add_for_gpus()
    assert os.environ["XLA_FLAGS"] == (GPU if added else "")


def test_a_jaxlib_that_may_not_know_a_flag_does_not_get_it(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(xla_flags, "may_use_gpus", lambda: True)
    newer = {"jaxlib": "0.13.1.dev20270101"}
    monkeypatch.setattr(xla_flags, "versions", lambda *_: newer)
    monkeypatch.setattr(xla_flags, "has_bfloat16_units", lambda: True)
    xla_flags.add_for_gpus()
    xla_flags.add_for_bfloat16()
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.parametrize(
    "jaxlib, units, added",
    [("0.12.1", "amx_bf16", True), ("0.12.0", "avx2", False)]
    + [("0.11.2", "avx512_bf16", False)],
)
def test_onednn_is_used_where_it_pays(monkeypatch, tmp_path, jaxlib, units, added):
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {units} sse\n")
    has_units = xla_flags.has_bfloat16_units(tmp_path / "cpuinfo")
    assert not xla_flags.has_bfloat16_units(tmp_path / "absent")
    monkeypatch.setattr(xla_flags, "has_bfloat16_units", lambda: has_units)
    monkeypatch.setattr(xla_flags, "versions", lambda *_: {"jaxlib": jaxlib})
    monkeypatch.setenv("XLA_FLAGS", "")
    xla_flags.add_for_bfloat16()
    assert bool(os.environ["XLA_FLAGS"]) == added


def test_the_line_of_the_devices_says_which_flags_are_set(monkeypatch):
    gpu = types.SimpleNamespace(platform="gpu", device_kind="NVIDIA H200")
    monkeypatch.setattr(jax, "devices", lambda: [gpu] * 8)
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to=/tmp/x {GPU}")
    assert devices.describe() == f"devices: 8 x NVIDIA H200; XLA_FLAGS {GPU}"
    monkeypatch.setenv("XLA_FLAGS", GPU.replace("true", "false"))
    assert devices.describe() == "devices: 8 x NVIDIA H200"


def test_xla_knows_the_flags():
    """It ends a process for a flag that it does not know."""
    code = (
        "import jax; from kdjax.distributed import devices, xla_flags\n"
        "xla_flags.may_use_gpus = xla_flags.has_bfloat16_units = lambda: True\n"
        "devices.configure(2, 8)\n"
        "import os; print(os.environ['XLA_FLAGS'], len(jax.devices()))"
    )
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    env |= {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    newer = xla_flags._jaxlib() >= (0, 12)
    added = [*xla_flags.CPU_FLAGS, *xla_flags.BFLOAT16_FLAGS * newer]
    flags = " ".join([*added, *xla_flags.GPU_FLAGS])
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{flags} 2\n"
