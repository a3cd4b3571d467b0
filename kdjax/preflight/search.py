"""The largest number of rows a device that compiles, by doubling and bisection."""

from collections.abc import Callable
from typing import NamedTuple


class Found(NamedTuple):
    """What compilations have shown, in rows a device."""

    fits: int  # the most that was seen to fit; 0 for none
    fails: int | None  # the fewest that were seen not to fit; None for none
    probes: int  # compilations that it took


def largest(
    fits: Callable[[int], bool], start: int, start_fits: bool, most: int
) -> Found:
    """Searches from a number of rows whose answer is known.

    It ends with `most` probes, or when both ends are a sixteenth apart. Memory grows
    with the rows, so what lies between the ends is not known and all else is.

    Args:
      fits: whether so many rows compile.
      start: rows above 0.
      start_fits: the answer for these.
      most: compilations at most.

    >>> largest(lambda rows: rows <= 100, 32, True, most=9)
    Found(fits=96, fails=104, probes=5)
    """
    low, high = (start, None) if start_fits else (0, start)
    probes = 0
    while probes < most and not _close(low, high):
        rows = _between(low, high)
        probes += 1
        if fits(rows):
            low = rows
        else:
            high = rows
    return Found(low, high, probes)


def _close(low: int, high: int | None) -> bool:
    return high is not None and high - low <= max(1, 8 * (low >= 16), low // 16)


def _between(low: int, high: int | None) -> int:
    """Twice, half, or the middle, which from 16 rows on is a multiple of 8."""
    if high is None:
        return 2 * low
    if low == 0:
        return high // 2
    middle = (low + high) // 2
    rounded = middle - middle % 8
    return rounded if rounded > low >= 16 else middle
