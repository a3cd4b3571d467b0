"""What a compiled step's bytes, cycles and model FLOPs say of its time: no measurement.

Two roofs are the least that a step can take: all bytes of its kernels at the memory's
pace, and the model's FLOPs at the peak of the arithmetic. For TPUs the compiler also
writes how many cycles it expects of each kernel.
"""

from collections.abc import Mapping

from kdjax.bench import peaks
from kdjax.bench.flops import Work
from kdjax.bench.peaks import Peak

# Hz. v4: Jouppi et al. 2023, arXiv:2304.01433. v5e and v5p: what 197 TFLOP/s of four
# matrix units of 128x128 are, and 459 TFLOP/s of eight.
CLOCKS = {"TPU v4": 1.05e9, "TPU v5 lite": 1.5e9, "TPU v5": 1.75e9}


def of_step(row: dict, work: Work) -> dict:
    """Seconds of a step on a device, whose `work` is of all its images; see `rows`."""
    kind, moved = row["device"], row["bytes_per_step"]
    peak = peaks.find(kind)
    return {
        "bytes_per_image": moved and moved / row["rows"],
        "seconds_of_cycles": seconds_of_cycles(kind, row["cycles"]),
        "seconds_of_bytes": seconds_of_bytes(peak, moved),
        "seconds_of_flops": seconds_of_flops(peak, work.flops),
    }


def seconds_of_cycles(device_kind: str, cycles: float | None) -> float | None:
    """None where there are no cycles, or the clock is not known.

    >>> seconds_of_cycles("TPU v5 lite", 3e6)
    0.002
    """
    clock = CLOCKS.get(device_kind)
    return cycles / clock if cycles and clock else None


def seconds_of_bytes(peak: Peak | None, count: float | None) -> float | None:
    """To move so many bytes of one device's memory."""
    return count / peak.bytes_per_second if peak and count is not None else None


def seconds_of_flops(peak: Peak | None, flops: Mapping[str, float]) -> float | None:
    """Of a device's model FLOPs by dtype, each at its own peak."""
    if peak is None or not flops.keys() <= peak.flops.keys():
        return None
    return sum(count / peak.flops[dtype] for dtype, count in flops.items())
