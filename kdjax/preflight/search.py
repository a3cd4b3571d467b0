"""The largest number of rows a device that compiles, in few compilations."""

from collections.abc import Callable
from typing import NamedTuple

CLOSE = 16  # the ends differ by a sixteenth
# Of the device: above it a compiler computes again what it has no room to keep, so that
# bytes hardly grow any more, and a line through such results leads far too high.
SQUEEZED = 0.85


class Bracket(NamedTuple):
    """The ends of a search, in rows a device; each of them was compiled."""

    fits: int | None  # the most that fit; 0 for none, None where none was tried
    fails: int | None  # the fewest that do not fit; None for none
    probes: int  # compilations that it took


def largest(
    needs: Callable[[int], tuple[bool, int | None]],
    start: int,
    first: tuple[bool, int | None],
    capacity: int | None,
    most: int,
) -> Bracket:
    """Searches from a number of rows whose result is known.

    Bytes grow almost as the rows do, so the next number is where a line through two
    results meets `capacity`; before there are two, and where the line does not rise, it
    doubles, halves or bisects; above results that are squeezed it goes up by half. It
    ends with `most` probes, or when both ends differ by a sixteenth.

    `needs` says whether so many rows fit, and the bytes that they take, or None;
    `first` is its result for `start` rows. `capacity` is bytes of a device, or None.

    >>> def needs(rows):
    ...     return rows <= 100, 1000 + 10 * rows
    >>> largest(needs, 32, needs(32), 2005, most=9)
    Bracket(fits=96, fails=104, probes=3)
    """
    low, high = (start, None) if first[0] else (0, start)
    bytes_, probes = {start: first[1]}, 0
    while probes < most and not _close(low, high):
        rows = _next(low, high, bytes_, capacity)
        fits, bytes_[rows] = needs(rows)
        probes += 1
        low, high = (rows, high) if fits else (low, rows)
    return Bracket(low, high, probes)


def _close(low: int, high: int | None) -> bool:
    return high is not None and high - low <= max(1, 8 * (low >= CLOSE), low // CLOSE)


def _next(low: int, high: int | None, bytes_: dict, capacity: int | None) -> int:
    """Between the ends, or above the lower one."""
    sized = [rows for rows, total in bytes_.items() if total]
    if capacity is None or len(sized) < 2:
        return _between(low, high)
    nearest = sorted(sized, key=lambda rows: abs(bytes_[rows] - capacity))
    one, two = sorted(nearest[:2])
    if two <= low and bytes_[one] > SQUEEZED * capacity:
        return _between(low, high or 2 * low)  # up by half, or bisects
    slope = (bytes_[two] - bytes_[one]) / (two - one)
    if slope <= 0:
        return _between(low, high)
    # Just inside what the line promises, then just outside, for both ends.
    guess = max(1, int(one + (capacity - bytes_[one]) / slope))
    step = max(1, 8 * (guess >= CLOSE), guess // CLOSE)
    rows = _round(guess)
    if rows <= low:
        rows = low + step if high is None else min(low + step, _between(low, high))
    if high is not None and rows >= high:
        rows = max(high - step, _between(low, high))
    return max(1, rows)


def _between(low: int, high: int | None) -> int:
    """Twice, half, or the middle."""
    if high is None:
        return 2 * low
    if low == 0:
        return max(1, high // 2)
    middle = (low + high) // 2
    return _round(middle) if _round(middle) > low else middle


def _round(rows: int) -> int:
    """From 16 rows on a multiple of 8, as chips like it."""
    return rows - rows % 8 if rows >= CLOSE else rows
