"""What devices can do at most, from their makers' data sheets: dense, no sparsity.

`float32` is what JAX computes float32 in by default: TF32 on NVIDIA cards that have it,
one pass of bfloat16 on TPUs. Data sheets that print sparse numbers are halved. A GPU's
clock falls under load: about 80 % of an H100's 989 TFLOP/s can be reached by products
of matrices alone.
"""

import re
from typing import NamedTuple


class Peak(NamedTuple):
    """Of one device, as JAX counts devices."""

    flops: dict[str, float]  # dtype -> FLOP/s
    bytes_per_second: float  # of its main memory


def _peak(bfloat16: float, float32: float, gigabytes: float) -> Peak:
    """TFLOP/s, TFLOP/s, GB/s; 0 where the device has no such units."""
    flops = {"bfloat16": 1e12 * bfloat16, "float32": 1e12 * float32}
    flops = {kind: value for kind, value in flops.items() if value}
    return Peak(flops, 1e9 * gigabytes)


# A pattern has to fit the whole of `device_kind`: "L4" is no "L40", and a slice of a
# card (MIG), a laptop's or a renamed one has another peak.
PEAKS = (
    # NVIDIA H100 data sheet (SXM5, PCIe, NVL), Hopper white paper.
    (r"NVIDIA H100 80GB HBM3", _peak(989.4, 494.7, 3350)),
    (r"NVIDIA H100 PCIe", _peak(756, 378, 2000)),
    (r"NVIDIA H100 NVL", _peak(835.5, 417.5, 3900)),
    # NVIDIA H200 data sheet.
    (r"NVIDIA H200", _peak(989.4, 494.7, 4800)),
    # NVIDIA A100 data sheet: 40 GB and 80 GB, SXM4 and PCIe.
    (r"NVIDIA A100-(SXM4|PCIE)-40GB", _peak(312, 156, 1555)),
    (r"NVIDIA A100-SXM4-80GB", _peak(312, 156, 2039)),
    (r"NVIDIA A100 80GB PCIe", _peak(312, 156, 1935)),
    # NVIDIA V100 data sheet; float16 units only (125 TFLOP/s), no bfloat16, no TF32.
    (r"Tesla V100-SXM2-(16|32)GB(-LS)?", _peak(0, 15.7, 900)),
    (r"Tesla V100-PCIE-(16|32)GB", _peak(0, 14.0, 900)),
    # NVIDIA Ampere GA102 white paper, float32 accumulation.
    (r"NVIDIA GeForce RTX 3090", _peak(71, 35.6, 936)),
    # NVIDIA Ada white paper, float32 accumulation.
    (r"NVIDIA GeForce RTX 4090", _peak(165.2, 82.6, 1008)),
    # NVIDIA L4 data sheet.
    (r"NVIDIA L4", _peak(121, 60, 300)),
    # NVIDIA T4 data sheet; float16 units only (65 TFLOP/s).
    (r"Tesla T4", _peak(0, 8.1, 320)),
    # docs.cloud.google.com/tpu/docs/v4, v5e, v5p, v6e: peak compute and HBM a chip. On
    # these JAX counts a chip as one device.
    (r"TPU v4", _peak(275, 275, 1200)),
    (r"TPU v5( lite|e)", _peak(197, 197, 819)),
    (r"TPU v5p?", _peak(459, 459, 2765)),
    (r"TPU v6( lite|e)", _peak(918, 918, 1638)),
)


def find(device_kind: str) -> Peak | None:
    """The peak of what JAX calls `device_kind`; None where it is not known.

    >>> find("NVIDIA H200").bytes_per_second / 1e12
    4.8
    """
    for pattern, peak in PEAKS:
        if re.fullmatch(pattern, device_kind):
            return peak
    return None
