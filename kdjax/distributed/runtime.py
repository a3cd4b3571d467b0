"""Starts JAX's distributed runtime in a run of several processes, and ends it."""

import argparse
import contextlib
import os
from collections.abc import Iterator

from kdjax.distributed.process_info import find_process_info


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The options that number a process; on clusters that JAX knows none is needed."""
    group = parser.add_argument_group("several hosts")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0")
    group.add_argument("--processes", metavar="N", help="how many, one a host or GPU")
    group.add_argument("--process", metavar="I", help="of this one, from 0")


@contextlib.contextmanager
def joined(options: argparse.Namespace) -> Iterator[int]:
    """Starts the runtime where the run has several processes, and ends it.

    Yields the number of processes. An error in one ends them all, with its exit code.
    """
    info = find_process_info(options, os.environ)
    if info is None:
        yield 1
        return
    from kdjax.distributed import rendezvous  # one process needs none of it

    with rendezvous.joined(info):
        yield info.processes
