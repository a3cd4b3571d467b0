"""How much memory devices have, from their makers' data sheets.

A program may use less: the runtime keeps some for itself (XLA's limit of a TPU v5e is
15.75 of its 16 GiB), and on GPUs JAX takes 75 % unless $XLA_PYTHON_CLIENT_MEM_FRACTION
says otherwise. NVIDIA's gigabytes are taken as 10^9 bytes, which is never too much.
"""

import re

GIB, GB = 2**30, 10**9

# Patterns fit the whole of `device_kind`, as in `peaks`.
CAPACITIES = (
    # NVIDIA data sheets: H100 (SXM5, PCIe, NVL), H200, A100, V100, L4, T4.
    (r"NVIDIA H100 (80GB HBM3|PCIe)", 80 * GB),
    (r"NVIDIA H100 NVL", 94 * GB),
    (r"NVIDIA H200", 141 * GB),
    (r"NVIDIA A100-(SXM4|PCIE)-40GB", 40 * GB),
    (r"NVIDIA A100(-SXM4-80GB| 80GB PCIe)", 80 * GB),
    (r"Tesla V100-(SXM2|PCIE)-32GB(-LS)?", 32 * GB),
    (r"Tesla V100-(SXM2|PCIE)-16GB(-LS)?", 16 * GB),
    (r"NVIDIA L4", 24 * GB),
    (r"Tesla T4", 16 * GB),
    # NVIDIA white papers: Ampere GA102, Ada.
    (r"NVIDIA GeForce RTX (3090|4090)", 24 * GB),
    # docs.cloud.google.com/tpu/docs/v4, v5e, v5p, v6e: HBM capacity a chip. On these
    # JAX counts a chip as one device.
    (r"TPU v4", 32 * GIB),
    (r"TPU v5( lite|e)", 16 * GIB),
    (r"TPU v5p?", 95 * GIB),
    (r"TPU v6( lite|e)", 32 * GIB),
)


def find(device_kind: str) -> int | None:
    """Bytes of what JAX calls `device_kind`; None where it is not known.

    >>> find("TPU v5 lite") / GIB
    16.0
    """
    for pattern, capacity in CAPACITIES:
        if re.fullmatch(pattern, device_kind):
            return capacity
    return None
