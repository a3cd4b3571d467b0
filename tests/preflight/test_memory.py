"""What programs take, what devices have, and errors as compilers write them."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.preflight import memory
from kdjax.training import sharding


def test_a_program_whose_bytes_are_known():
    def function(kept, read):
        return kept + 1.0, (read * 2.0).sum()

    jitted = jax.jit(function, donate_argnums=0)
    shapes = (jax.ShapeDtypeStruct((n,), jnp.float32) for n in (1000, 500))
    sizes = memory.of(jitted.lower(*shapes).compile())
    assert sizes.arguments == 4 * 1500
    assert sizes.reused == 4 * 1000
    assert 0 <= sizes.outputs - sizes.reused - 4 <= 64  # a scalar, and its tuple
    parts = sizes.arguments + sizes.outputs - sizes.reused + sizes.temporaries
    assert sizes.total == parts + sizes.code


def test_a_tpu_compilers_refusal_is_read():
    message = (
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in "
        "memory space hbm. Used 20.31G of 15.75G hbm. Exceeded hbm capacity by 4.56G."
    )
    refused = memory.refusal(message)
    assert refused.used == pytest.approx(20.31 * 2**30, abs=1)
    assert refused.limit == pytest.approx(15.75 * 2**30, abs=1)


def test_a_refusal_before_anything_is_laid_out_is_read():
    """As libtpu 0.0.42 writes it; arguments are not in that number."""
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for "
        "HLO temporaries (153.14G) exceeds available HBM (15.75G)."
    )
    refused = memory.refusal(message)
    assert refused.used is None
    assert refused.temporaries == pytest.approx(153.14 * 2**30, abs=1)
    assert refused.limit == pytest.approx(15.75 * 2**30, abs=1)


def test_a_refusal_without_numbers_is_one_still():
    message = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592"
    assert memory.refusal(message) == memory.Refused(None, None)


def test_other_errors_are_not_about_memory():
    assert memory.refusal("INTERNAL: Mosaic failed to compile") is None


def mesh_of(monkeypatch, kind, stats, platform="gpu"):
    device = types.SimpleNamespace(
        platform=platform, device_kind=kind, memory_stats=lambda: stats
    )
    monkeypatch.setattr(jax, "devices", lambda: [device])
    return types.SimpleNamespace(devices=np.array([device], object))


@pytest.mark.parametrize(
    ("kind", "stats", "expected"),
    [
        ("NVIDIA H200", {"bytes_limit": 105 * 10**9}, 105 * 10**9),
        ("NVIDIA H200", {}, 141 * 10**9),
        ("NVIDIA H200", None, 141 * 10**9),
        ("unknown", None, None),
    ],
)
def test_a_device_at_hand_reports_its_own(monkeypatch, kind, stats, expected):
    mesh = mesh_of(monkeypatch, kind, stats)
    assert memory.capacity_of(mesh) == expected


def test_a_cpu_shares_the_hosts():
    assert memory.capacity_of(sharding.make_mesh()) is None


def test_a_described_device_has_its_compilers_limit_or_its_data_sheets(monkeypatch):
    mesh = mesh_of(monkeypatch, "TPU v5 lite", None, platform="tpu")
    monkeypatch.setattr(jax, "devices", lambda: [])
    monkeypatch.setattr(memory, "_compilers_limit", lambda mesh: 7)
    assert memory.capacity_of(mesh) == 7
    monkeypatch.setattr(memory, "_compilers_limit", lambda mesh: None)
    assert memory.capacity_of(mesh) == 16 * 2**30
