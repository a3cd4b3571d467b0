"""GPUs by name, and a compilation for them where JAX's plugin for CUDA is installed."""

import importlib.metadata

import pytest

from kdjax.bench import peaks
from kdjax.contracts import InputError
from kdjax.preflight import gpus, topology
from tests.preflight.test_topology import CIFAR, IMAGENET, compile_for

HERE = any(
    "cuda" in plugin.name
    for plugin in importlib.metadata.entry_points(group="jax_plugins")
)


@pytest.mark.parametrize("name", ["h200", "h200:0", "h200:2x4", "b300:8", "H200:8"])
def test_what_is_no_gpu_is_refused(name):
    with pytest.raises(InputError, match="how many, such as h200:8, h100:8, a100:8"):
        topology.describe(name)


def test_hosts_are_full():
    with pytest.raises(InputError, match="a host has 8 of them.*such as h100:16"):
        topology.describe("h100:12")


def test_slices_are_of_tpus():
    with pytest.raises(InputError, match="--slices is 2; it is of TPUs"):
        topology.describe("h200:8", slices=2)


def test_without_the_plugin_the_error_is_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    with pytest.raises(InputError, match=r"pip install 'jax\[cuda13\]>=0.11.2'"):
        topology.describe("h200:8")


@pytest.mark.parametrize("kind", gpus.GPUS)
def test_a_described_gpu_is_the_one_of_the_data_sheet(kind):
    """Its peaks are found by the name that JAX gives it."""
    gpu, peak = gpus.GPUS[kind], peaks.find(gpus.GPUS[kind].name)
    assert gpu.bandwidth == pytest.approx(peak.bytes_per_second, rel=1e-3)
    assert gpu.memory == pytest.approx(peak.memory, rel=0.08)
    # Two operations a unit and cycle; TF32 and bfloat16 have units of their own.
    plain = 2 * gpu.processors * gpu.float32_units * gpu.gigahertz * 1e9
    assert plain < peak.flops["float32"] < peak.flops["bfloat16"]
    text = gpus.target(gpu)
    assert f'device_description_str: "{gpu.name}"' in text
    assert text.count("{") == text.count("}")


needs_plugin = pytest.mark.skipif(
    not HERE, reason="JAX for CUDA is not installed: make preflight-gpu"
)


@needs_plugin
@pytest.mark.parametrize(("name", "count"), [("h200:8", 8), ("a100:1", 1)])
def test_a_step_compiles_for_gpus_that_are_not_there(name, count):
    row = compile_for(f"--topology={name}", f"--batch_size={16 * count}")
    gpu = gpus.GPUS[name.partition(":")[0]]
    assert (row["device"], row["devices"], row["rows"]) == (gpu.name, count, 16)
    assert row["fits"] is True
    assert row["capacity"] == pytest.approx(0.75 * gpu.memory, rel=0.08)
    assert row["kernels"] > 10 and row["bytes_per_step"] > 0 and row["cycles"] is None
    assert bool(row["collectives"]) == (count > 1)
    assert row["seconds_of_bytes"] > 0 and row["seconds_of_cycles"] is None


@needs_plugin
@pytest.mark.long
def test_a_dispatch_does_not_wait_for_the_host():
    row = compile_for("--topology=h200:1", "--batch_size=128", pair=CIFAR)
    assert row["steps"] == row["dispatch_trips"] == 16 and row["loops"] == []


@needs_plugin
@pytest.mark.long
def test_a_step_of_resnets_moves_few_bytes():
    """With an atomic scatter in the pooling and an unfolded teacher it is 29.8 GB."""
    row = compile_for("--topology=h200:1", "--batch_size=256", pair=IMAGENET)
    assert row["bytes_per_step"] <= 26e9 and row["loops"] == []
