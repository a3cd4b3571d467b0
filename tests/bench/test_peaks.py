"""Names as JAX gives them, and names that only look like those; memory of each."""

import pytest

from kdjax.bench.peaks import PEAKS, find


@pytest.mark.parametrize(
    ("kind", "bfloat16", "float32", "gigabytes"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4, 494.7, 3350),
        ("NVIDIA H100 PCIe", 756, 378, 2000),
        ("NVIDIA H200", 989.4, 494.7, 4800),
        ("NVIDIA A100-SXM4-40GB", 312, 156, 1555),
        ("NVIDIA A100-SXM4-80GB", 312, 156, 2039),
        ("NVIDIA A100 80GB PCIe", 312, 156, 1935),
        ("NVIDIA GeForce RTX 3090", 71, 35.6, 936),
        ("NVIDIA GeForce RTX 4090", 165.2, 82.6, 1008),
        ("NVIDIA L4", 121, 60, 300),
        ("TPU v4", 275, 275, 1200),
        ("TPU v5 lite", 197, 197, 819),
        ("TPU v5e", 197, 197, 819),
        ("TPU v5", 459, 459, 2765),
        ("TPU v5p", 459, 459, 2765),
        ("TPU v6 lite", 918, 918, 1638),
        ("TPU v6e", 918, 918, 1638),
    ],
)
def test_a_device_is_found_by_its_kind(kind, bfloat16, float32, gigabytes):
    peak = find(kind)
    assert peak.flops == {
        "bfloat16": pytest.approx(bfloat16 * 1e12),
        "float32": pytest.approx(float32 * 1e12),
    }
    assert peak.bytes_per_second == gigabytes * 1e9


@pytest.mark.parametrize(
    ("kind", "float32"),
    [("Tesla V100-SXM2-16GB", 15.7), ("Tesla V100-PCIE-32GB", 14), ("Tesla T4", 8.1)],
)
def test_cards_without_bfloat16_have_no_peak_for_it(kind, float32):
    assert find(kind).flops == {"float32": float32 * 1e12}


@pytest.mark.parametrize(
    "kind",
    [
        "cpu",
        "",
        "NVIDIA L40",
        "NVIDIA L40S",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA GH200 480GB",
        "TPU v4 lite",
        "TPU v3",
    ],
)
def test_what_only_looks_alike_is_unknown(kind):
    assert find(kind) is None


def test_no_kind_fits_two_rows():
    peaks = [find(kind) for kind in ("TPU v5", "TPU v5 lite", "TPU v6 lite")]
    assert len(set(map(id, peaks))) == 3
    assert len({pattern for pattern, _ in PEAKS}) == len(PEAKS)


@pytest.mark.parametrize(
    ("kind", "gib"),
    [
        *(("TPU v4", 32), ("TPU v5 lite", 16), ("TPU v5e", 16), ("TPU v5", 95)),
        *(("TPU v5p", 95), ("TPU v6 lite", 32), ("TPU v6e", 32)),
    ],
)
def test_a_tpus_memory(kind, gib):
    assert find(kind).memory == gib * 2**30


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
def test_a_gpus_memory(kind):
    assert find(kind).memory >= 16 * 10**9
    named = [int(word[:-2]) for word in kind.replace("-", " ").split() if "GB" in word]
    assert not named or find(kind).memory == named[0] * 10**9
