"""Starts JAX's distributed runtime in one of several processes, and ends it.

A run of one process imports nothing of this.
"""

import contextlib
import math
import sys
import threading
from collections.abc import Iterator

import jax

# Its client has no public name in jax 0.10 to 0.12.
from jax._src import distributed

from kdjax import signals
from kdjax.data.prefetch import share_cores
from kdjax.distributed import collectives, coordinator, lost
from kdjax.distributed.cluster_env import WAIT, ProcessInfo, RendezvousError
from kdjax.distributed.process_group import ProcessGroup, exit_now

PORT_WAIT = 30.0  # seconds that a process before this one has to leave its port


@contextlib.contextmanager
def joined(info: ProcessInfo) -> Iterator[None]:
    """Joins the other processes; an error in one ends them all, with its exit code."""
    bind = coordinator.bind_address(info.coordinator)
    _start(info, bind)
    client = distributed.global_state.client
    group = collectives.start(client, info.process, info.processes)
    # Another start goes on, whatever this one was doing: launchers look for that code.
    signals.resumable()
    signals.before_exit(group.end_at_once)
    beats = _watch_others(client, info, group)
    share_cores(info.sharing)
    collectives.log(
        f"{info.processes} processes, numbered by {info.source}; the first one listens "
        f"at {coordinator.where(info.coordinator, bind)}"
    )
    try:
        yield
    except collectives.COMMON:
        _end(group, beats)
        raise
    except BaseException as error:
        signals.finished()  # it ends already
        final = group.fail(error)
        if final is error:
            raise
        raise final from error
    _end(group, beats)


def _watch_others(client, info: ProcessInfo, group: ProcessGroup) -> threading.Event:
    if info.process:
        lost.end_with_coordinator(info.coordinator, info.process, info.processes)
    return lost.beat(client, info.process, info.processes, group.lose)


def _end(group: ProcessGroup, beats: threading.Event) -> None:
    group.leave()
    beats.set()
    collectives.stop()
    signals.finished()  # all is done; keep the exit code
    jax.distributed.shutdown()


def _start(info: ProcessInfo, bind: str | None) -> None:
    # `collectives.stopper` stops at a common step, for SIGINT and --minutes too.
    jax.config.update("jax_enable_preemption_service", False)
    if info.process:
        coordinator.wait_for_coordinator(info, WAIT)
    else:
        coordinator.check_free(info.coordinator, bind, PORT_WAIT)
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
