"""Where the memory of a device is known from."""

import types

import jax
import numpy as np
import pytest

from kdjax.preflight import limits
from kdjax.training import sharding


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
        ("somebody's", None, None),
    ],
)
def test_a_device_that_is_there_says_it_itself(monkeypatch, kind, stats, expected):
    mesh = mesh_of(monkeypatch, kind, stats)
    assert limits.capacity_of(mesh) == expected


def test_a_cpu_has_what_everybody_shares():
    assert limits.capacity_of(sharding.make_mesh()) is None


def test_a_described_device_is_what_its_compiler_makes_of_it(monkeypatch):
    mesh = mesh_of(monkeypatch, "TPU v5 lite", None, platform="tpu")
    monkeypatch.setattr(jax, "devices", lambda: [])
    monkeypatch.setattr(limits, "_compilers_limit", lambda mesh: 7)
    assert limits.capacity_of(mesh) == 7
    monkeypatch.setattr(limits, "_compilers_limit", lambda mesh: None)
    assert limits.capacity_of(mesh) == 16 * 2**30
