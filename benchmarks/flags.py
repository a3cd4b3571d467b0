"""Options of all contestants, so that they do the same work."""

import argparse
import math
import os
import pathlib
import re

ALPHA, TEMPERATURE = 0.9, 4.0
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4
MEAN, STD = 0.5, 0.25
IMAGES, LARGEST = 50_000, 256 * 2**20  # bytes of all
NETWORK = re.compile(r"wrn_(\d+)_(\d+)|resnet(18|34)")


def add(parser: argparse.ArgumentParser) -> None:
    """The size of the problem."""
    parser.add_argument("--pair", default="wrn_28_4:wrn_16_2", help="TEACHER:STUDENT")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--classes", type=int, default=100)


def passed_on(options: argparse.Namespace) -> list[str]:
    """The same flags for a contestant."""
    names = ("pair", "batch_size", "image_size", "classes")
    return [f"--{name}={getattr(options, name)}" for name in names]


def networks(pair: str) -> list[tuple]:
    """Teacher and student: ("wrn", depth, widening factor) or ("resnet", depth).

    Raises:
      ValueError: a network that PyTorch's side does not have.
    """
    names = [NETWORK.fullmatch(name) for name in pair.split(":")]
    if len(names) != 2 or not all(names):
        raise ValueError(
            f"--pair is {pair!r}; expected wide ResNets or ResNet-18 and 34, such as "
            "wrn_28_4:wrn_16_2 or resnet34:resnet18."
        )
    groups = [match.groups() for match in names]
    return [
        ("wrn", int(depth), int(width)) if depth else ("resnet", int(plain))
        for depth, width, plain in groups
    ]


def images(image_size: int) -> int:
    """Of noise: as many as kdjax has of that size."""
    return min(IMAGES, LARGEST // (3 * image_size**2))


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
