"""Options of all contestants, so that they do the same work."""

import argparse
import math
import os
import pathlib
import re

ALPHA, TEMPERATURE = 0.9, 4.0
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4
MEAN, STD = 0.5, 0.25
IMAGES = 50_000


def add(parser: argparse.ArgumentParser) -> None:
    """The size of the problem."""
    parser.add_argument("--pair", default="wrn_28_4:wrn_16_2", help="wide ResNets")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--classes", type=int, default=100)


def passed_on(options: argparse.Namespace) -> list[str]:
    """The same flags for a contestant."""
    names = ("pair", "batch_size", "image_size", "classes")
    return [f"--{name}={getattr(options, name)}" for name in names]


def wide(pair: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """(depth, widening factor) of teacher and student.

    Raises:
      ValueError: another kind of pair.
    """
    match = re.fullmatch(r"wrn_(\d+)_(\d+):wrn_(\d+)_(\d+)", pair)
    if not match:
        raise ValueError(
            f"--pair is {pair!r}; expected wide ResNets, such as wrn_28_4:wrn_16_2."
        )
    depth, width, *student = map(int, match.groups())
    return (depth, width), tuple(student)


def padding(image_size: int) -> int:
    """Black pixels before the crop: 4 at 32x32."""
    return max(1, image_size // 8)


def cores() -> int:
    """Cores that this process may use, as kdjax counts them, without importing it."""
    count = len(os.sched_getaffinity(0))
    quota = pathlib.Path("/sys/fs/cgroup/cpu.max")
    if quota.exists() and not quota.read_text().startswith("max"):
        limit, period = map(int, quota.read_text().split())
        count = min(count, max(1, math.ceil(limit / period)))
    return count
