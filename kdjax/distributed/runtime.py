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

# Its client has no public name in jax 0.10 to 0.12.
from jax._src import distributed

from kdjax.data.prefetch import share_cores
from kdjax.distributed import collectives, coordinator
from kdjax.distributed.cluster_env import WAIT, ProcessInfo, RendezvousError
from kdjax.distributed.process_group import ProcessGroup, exit_now
from kdjax.distributed.process_info import find_process_info


class Killed(BaseException):
    """SIGTERM came outside a training. No Exception: no code may take it for damage."""

    exit_code = 42  # nothing is lost


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
    _start(info)
    client = distributed.global_state.client
    group = collectives.start(client, info.process, info.processes)
    signal.signal(signal.SIGTERM, _killed)
    share_cores(info.sharing)
    collectives.log(
        f"{info.processes} processes, numbered by {info.source}; the first one listens "
        f"at {info.coordinator}"
    )
    try:
        yield info.processes
    except collectives.COMMON:
        _end(group)
        raise
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already
        final = group.fail(error)
        if final is error:
            raise
        raise final from error
    _end(group)


def _end(group: ProcessGroup) -> None:
    group.leave()
    collectives.stop()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is done; keep the exit code
    jax.distributed.shutdown()


def _killed(*_) -> None:
    raise Killed("SIGTERM came while nothing was trained; run the same command again.")


def _start(info: ProcessInfo) -> None:
    # `collectives.stopper` stops at a common step, for SIGINT and --minutes too.
    jax.config.update("jax_enable_preemption_service", False)
    bind = coordinator.bind_address(info.coordinator)
    if info.process:
        coordinator.wait_for_coordinator(info, WAIT)
    else:
        coordinator.check_free(info.coordinator, bind)
    # JAX would end this process with a stack trace of C++.
    timer = threading.Timer(WAIT, _give_up, [info])
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            *(info.coordinator, info.processes, info.process),
            local_device_ids=info.devices,
            cluster_detection_method="deactivate",
            initialization_timeout=math.ceil(WAIT) + 60,
            coordinator_bind_address=bind,
        )
    except jax.errors.JaxRuntimeError as error:
        raise RendezvousError(_not_met(info, str(error)[:300])) from error
    finally:
        timer.cancel()


def _give_up(info: ProcessInfo) -> None:
    print(f"kdjax: {_not_met(info, f'{WAIT} seconds are over')}", file=sys.stderr)
    exit_now(RendezvousError.exit_code)


def _not_met(info: ProcessInfo, reason: str) -> str:
    return (
        f"process {info.process}: the {info.processes} processes did not meet at "
        f"{info.coordinator} ({reason}). Expected all of them started by now, each "
        "with a number of its own; on SLURM by srun."
    )
