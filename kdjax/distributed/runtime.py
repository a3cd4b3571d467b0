"""Starts JAX's distributed runtime in a run of several processes, and ends it."""

import argparse
import contextlib
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator

import jax

# The public interface does not lend its client.
from jax._src import distributed

from kdjax.distributed import collectives, coordinator
from kdjax.distributed.cluster_env import WAIT, ProcessInfo, RendezvousError
from kdjax.distributed.process_group import ProcessGroup, leave_at_once
from kdjax.distributed.process_info import find_process_info


class Killed(BaseException):
    """SIGTERM came while there was no training that could save its state.

    No Exception: who calls a file damaged for any error must not take this for one.
    """

    exit_code = 42  # nothing is lost


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The options that place a process; on clusters that JAX knows none is needed."""
    group = parser.add_argument_group("several hosts")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0")
    group.add_argument("--processes", metavar="N", help="how many, one a host")
    group.add_argument("--process", metavar="I", help="of this one, from 0")


@contextlib.contextmanager
def joined(options: argparse.Namespace) -> Iterator[int]:
    """Starts the runtime where the run has several processes, and ends it.

    An error in one of them ends them all, with its exit code.

    Yields:
      The number of processes.

    Raises:
      InputError: flags or variables make no sense, or the port is taken.
      Apart: the others cannot be reached.
    """
    place = find_process_info(options, os.environ)
    if place is None:
        yield 1
        return
    _start(place)
    group = collectives.begin(distributed.global_state.client, *_numbers(place))
    signal.signal(signal.SIGTERM, _killed)
    try:
        yield place.processes
    except collectives.COMMON:
        _end(group)
        raise
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it leaves already
        told = group.fail(error)
        if told is error:
            raise
        raise told from error
    _end(group)


def _numbers(place: ProcessInfo) -> tuple[int, int]:
    return place.process, place.processes


def _end(group: ProcessGroup) -> None:
    group.leave()
    collectives.end()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is done; do not spoil the code
    jax.distributed.shutdown()


def _killed(*_) -> None:
    raise Killed("SIGTERM came while nothing was trained; run the same command again.")


def _start(place: ProcessInfo) -> None:
    # kdjax has its own way to stop at a common step, for SIGINT and --minutes too.
    jax.config.update("jax_enable_preemption_service", False)
    bind = coordinator.bind_address(place.coordinator)
    if place.process:
        coordinator.reach(place, WAIT)
    else:
        coordinator.check_free(place.coordinator, bind)
    # JAX would end this process with a stack trace of C++.
    timer = threading.Timer(WAIT, _give_up, [place])
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            *(place.coordinator, place.processes, place.process),
            local_device_ids=place.devices,
            cluster_detection_method="deactivate",
            initialization_timeout=math.ceil(WAIT) + 60,
            coordinator_bind_address=bind,
        )
    except jax.errors.JaxRuntimeError as error:
        raise RendezvousError(_not_met(place, str(error)[:300])) from error
    finally:
        timer.cancel()


def _give_up(place: ProcessInfo) -> None:
    print(f"kdjax: {_not_met(place, f'{WAIT} seconds are over')}", file=sys.stderr)
    leave_at_once(RendezvousError.exit_code)


def _not_met(place: ProcessInfo, why: str) -> str:
    return (
        f"process {place.process}: the {place.processes} processes did not meet at "
        f"{place.coordinator} ({why}). Expected all of them started by now, each with "
        "a number of its own; on SLURM by srun."
    )
