"""What a program takes, and errors as compilers write them."""

import jax
import jax.numpy as jnp
import pytest

from kdjax.bench import capacities, peaks
from kdjax.preflight import memory


def test_a_program_whose_bytes_are_known():
    def function(kept, read):
        return kept + 1.0, (read * 2.0).sum()

    jitted = jax.jit(function, donate_argnums=0)
    shapes = (jax.ShapeDtypeStruct((n,), jnp.float32) for n in (1000, 500))
    found = memory.of(jitted.lower(*shapes).compile())
    assert found.arguments == 4 * 1500
    assert found.reused == 4 * 1000
    assert 0 <= found.outputs - found.reused - 4 <= 64  # a scalar, and its tuple
    parts = found.arguments + found.outputs - found.reused + found.temporaries
    assert found.total == parts + found.code


def test_a_tpu_compilers_refusal_is_read():
    message = (
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in "
        "memory space hbm. Used 20.31G of 15.75G hbm. Exceeded hbm capacity by 4.56G."
    )
    found = memory.refusal(message)
    assert found.used == pytest.approx(20.31 * 2**30, abs=1)
    assert found.limit == pytest.approx(15.75 * 2**30, abs=1)


def test_a_refusal_before_anything_is_laid_out_is_read():
    """As libtpu 0.0.42 writes it; arguments are not in that number."""
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for "
        "HLO temporaries (153.14G) exceeds available HBM (15.75G)."
    )
    found = memory.refusal(message)
    assert found.used is None
    assert found.temporaries == pytest.approx(153.14 * 2**30, abs=1)
    assert found.limit == pytest.approx(15.75 * 2**30, abs=1)


def test_a_refusal_without_numbers_is_one_still():
    message = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592"
    assert memory.refusal(message) == memory.Refused(None, None)


def test_other_errors_are_not_about_memory():
    assert memory.refusal("INTERNAL: Mosaic failed to compile") is None


@pytest.mark.parametrize(
    ("kind", "gib"),
    [
        *(("TPU v4", 32), ("TPU v5 lite", 16), ("TPU v5e", 16), ("TPU v5", 95)),
        *(("TPU v5p", 95), ("TPU v6 lite", 32), ("TPU v6e", 32)),
    ],
)
def test_a_tpus_memory(kind, gib):
    assert capacities.find(kind) == gib * 2**30


@pytest.mark.parametrize("kind", ["cpu", "", "TPU v3", "NVIDIA L40", "TPU v4 lite"])
def test_what_only_looks_alike_is_unknown(kind):
    assert capacities.find(kind) is None


@pytest.mark.parametrize(
    "kind",
    [
        *("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA H100 NVL"),
        *("NVIDIA H200", "NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB"),
        *("NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe", "NVIDIA L4", "Tesla T4"),
        *("Tesla V100-SXM2-16GB", "Tesla V100-SXM2-32GB-LS", "Tesla V100-PCIE-32GB"),
        *("NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 4090", "TPU v6 lite"),
    ],
)
def test_a_device_with_a_peak_has_a_memory(kind):
    assert peaks.find(kind) is not None and capacities.find(kind) is not None
    named = [int(word[:-2]) for word in kind.replace("-", " ").split() if "GB" in word]
    assert not named or capacities.find(kind) == named[0] * 10**9
