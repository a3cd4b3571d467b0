"""What devices can do at most and how much they hold, from their makers' data sheets.

Arithmetic is dense, without sparsity. `float32` is what JAX computes float32 in by
default: TF32 on NVIDIA cards that have it, one pass of bfloat16 on TPUs. A GPU's clock
falls under load: about 80 % of an H100's 989 TFLOP/s can be reached by products of
matrices alone.

Programs may use less memory than a device has: XLA's limit of a TPU v5e is 15.75 of its
16 GiB, and on GPUs JAX takes 75 % unless $XLA_PYTHON_CLIENT_MEM_FRACTION is set.
"""

import re
from typing import NamedTuple

GIB, GB = 2**30, 10**9


class Peak(NamedTuple):
    """Of one device, as JAX counts devices."""

    flops: dict[str, float]  # dtype -> FLOP/s
    bytes_per_second: float  # of its main memory
    memory: int = 0  # bytes


def _gpu(bfloat16: float, float32: float, bandwidth: float, memory: int) -> Peak:
    """TFLOP/s, TFLOP/s, GB/s, GB; 0 where the device has no such units."""
    flops = {"bfloat16": 1e12 * bfloat16, "float32": 1e12 * float32}
    flops = {dtype: value for dtype, value in flops.items() if value}
    return Peak(flops, 1e9 * bandwidth, memory * GB)


def _tpu(flops: float, bandwidth: float, memory: int) -> Peak:
    """TFLOP/s, GB/s, GiB of a chip, which JAX counts as one device."""
    return _gpu(flops, flops, bandwidth, 0)._replace(memory=memory * GIB)


# A pattern has to fit the whole of `device_kind`: "L4" is no "L40", and a slice of a
# card (MIG), a laptop's or a renamed one has another peak.
PEAKS = (
    # NVIDIA H100 data sheet (SXM5, PCIe, NVL), Hopper white paper.
    (r"NVIDIA H100 80GB HBM3", _gpu(989.4, 494.7, 3350, 80)),
    (r"NVIDIA H100 PCIe", _gpu(756, 378, 2000, 80)),
    (r"NVIDIA H100 NVL", _gpu(835.5, 417.5, 3900, 94)),
    # NVIDIA H200 data sheet.
    (r"NVIDIA H200", _gpu(989.4, 494.7, 4800, 141)),
    # NVIDIA A100 data sheet: 40 GB and 80 GB, SXM4 and PCIe.
    (r"NVIDIA A100-(SXM4|PCIE)-40GB", _gpu(312, 156, 1555, 40)),
    (r"NVIDIA A100-SXM4-80GB", _gpu(312, 156, 2039, 80)),
    (r"NVIDIA A100 80GB PCIe", _gpu(312, 156, 1935, 80)),
    # NVIDIA V100 data sheet; float16 units only (125 TFLOP/s), no bfloat16, no TF32.
    (r"Tesla V100-SXM2-16GB(-LS)?", _gpu(0, 15.7, 900, 16)),
    (r"Tesla V100-SXM2-32GB(-LS)?", _gpu(0, 15.7, 900, 32)),
    (r"Tesla V100-PCIE-16GB", _gpu(0, 14.0, 900, 16)),
    (r"Tesla V100-PCIE-32GB", _gpu(0, 14.0, 900, 32)),
    # NVIDIA Ampere GA102 and Ada white papers, float32 accumulation.
    (r"NVIDIA GeForce RTX 3090", _gpu(71, 35.6, 936, 24)),
    (r"NVIDIA GeForce RTX 4090", _gpu(165.2, 82.6, 1008, 24)),
    # NVIDIA L4 data sheet.
    (r"NVIDIA L4", _gpu(121, 60, 300, 24)),
    # NVIDIA T4 data sheet; float16 units only (65 TFLOP/s).
    (r"Tesla T4", _gpu(0, 8.1, 320, 16)),
    # docs.cloud.google.com/tpu/docs/v4, v5e, v5p, v6e.
    (r"TPU v4", _tpu(275, 1200, 32)),
    (r"TPU v5( lite|e)", _tpu(197, 819, 16)),
    (r"TPU v5p?", _tpu(459, 2765, 95)),
    (r"TPU v6( lite|e)", _tpu(918, 1638, 32)),
)


def find(device_kind: str) -> Peak | None:
    """The peak of what JAX calls `device_kind`; None where it is not known.

    >>> find("NVIDIA H200").bytes_per_second / 1e12, find("TPU v5 lite").memory / GIB
    (4.8, 16.0)
    """
    fitting = (peak for kind, peak in PEAKS if re.fullmatch(kind, device_kind))
    return next(fitting, None)
