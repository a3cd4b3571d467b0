"""Commands that may be run in time slices of some minutes each."""

import argparse
import math
import time

from kdjax.contracts import InputError


def add_minutes(parser: argparse.ArgumentParser) -> None:
    """The option --minutes."""
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        metavar="M",
        help="stop after so many, with the state saved and exit code 42",
    )


def deadline(minutes: float) -> float:
    """When so many minutes, above 0, will be over, on `time.monotonic()`."""
    if not minutes > 0:
        raise InputError(f"--minutes is {minutes:g}; expected a number above 0.")
    return time.monotonic() + 60 * minutes
