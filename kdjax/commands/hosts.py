"""Starts JAX's distributed runtime: who the processes of a run are, and where.

By flags (--coordinator, --processes, --process), by the variables
JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or as JAX detects SLURM,
Open MPI, Cloud TPUs and Kubernetes, where they run more than one task. One task alone
starts nothing.
"""

import argparse
import contextlib
import ipaddress
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax

# The public interface can neither be asked what it would detect nor lend its client.
from jax._src import clusters, distributed

from kdjax.commands import together
from kdjax.commands.group import Group, leave_at_once
from kdjax.contracts import InputError

WAIT = 300  # seconds until all processes must have come
VARIABLES = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "processes": "JAX_NUM_PROCESSES",
    "process": "JAX_PROCESS_ID",
}


class Place(NamedTuple):
    """A process among those of a run."""

    coordinator: str  # HOST:PORT of process 0
    processes: int
    process: int
    devices: list[int] | None = None  # of the host's GPUs; None: all that are visible


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
      InputError: flags or variables make no sense, or the others cannot be reached.
    """
    place = find_place(options, os.environ)
    if place is None:
        yield 1
        return
    _start(place)
    group = together.begin(distributed.global_state.client, *_numbers(place))
    signal.signal(signal.SIGTERM, _killed)
    try:
        yield place.processes
    except together.COMMON:
        _end(group)
        raise
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it leaves already
        told = group.fail(error)
        if told is error:
            raise
        raise told from error
    _end(group)


def _numbers(place: Place) -> tuple[int, int]:
    return place.process, place.processes


def _end(group: Group) -> None:
    group.leave()
    together.end()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is done; do not spoil the code
    jax.distributed.shutdown()


def _killed(*_) -> None:
    raise Killed("SIGTERM came while nothing was trained; run the same command again.")


def find_place(options: argparse.Namespace, environ: Mapping) -> Place | None:
    """This process's place in a run of several; None where it runs alone.

    Raises:
      InputError: something is missing, no number or out of its range.
    """
    given = {name: getattr(options, name) for name in VARIABLES}
    told = {name: environ.get(key) for name, key in VARIABLES.items()}
    # JAX takes its variable for the address alone as well, and detects the rest.
    if not any(given.values()) and not (told["processes"] or told["process"]):
        return _detected(environ)
    names = {name: f"--{name}" if given[name] else VARIABLES[name] for name in given}
    found = {name: given[name] or told[name] for name in given}
    gone = [f"--{name} (or ${VARIABLES[name]})" for name in found if not found[name]]
    if gone:
        raise InputError(f"{', '.join(gone)} is missing; expected all three or none.")
    processes = _number(names["processes"], found["processes"], 1, 1 << 20)
    process = _number(names["process"], found["process"], 0, processes)
    host, _, port = found["coordinator"].rpartition(":")
    if not host or not port.isdigit():
        raise InputError(
            f"{names['coordinator']} is {found['coordinator']!r}; expected HOST:PORT, "
            "where process 0 runs and a port that is free there."
        )
    if processes == 1:
        return None
    return Place(found["coordinator"], processes, process)


def _number(name: str, text: str, low: int, limit: int) -> int:
    if not text.isdigit() or not low <= int(text) < limit:
        raise InputError(f"{name} is {text!r}; expected {low} to {limit - 1}.")
    return int(text)


def _detected(environ: Mapping) -> Place | None:
    for cluster in clusters.ClusterEnv._cluster_types:
        if cluster.opt_in_only_method or not _may_be(cluster, environ):
            continue
        try:
            if not cluster.is_env_present():
                continue
            count = cluster.get_process_count()
            return _placed(cluster, count, environ) if count > 1 else None
        except OSError as error:  # of Cloud TPUs: the metadata server
            together.say(f"{cluster.name} does not say of how many hosts: {error}")
            return None
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"this looks like {cluster.name}, which JAX cannot read: {error}. Set "
                f"{', '.join(VARIABLES.values())}, or --processes=1 --process=0 "
                "--coordinator=localhost:0 to run alone."
            ) from error
    return None


def _may_be(cluster, environ: Mapping) -> bool:
    # Any container of a Kubernetes cluster looks like one to JAX, and is told what to
    # install; only those of an indexed job can be several.
    return cluster.name != "k8s" or "JOB_COMPLETION_INDEX" in environ


def _placed(cluster, count: int, environ: Mapping) -> Place:
    address = environ.get(VARIABLES["coordinator"]) or cluster.get_coordinator_address(
        timeout_secs=WAIT, override_coordinator_port=environ.get("JAX_COORDINATOR_PORT")
    )
    local = cluster.get_local_process_id()
    return Place(
        address, count, cluster.get_process_id(), _devices(local, count, environ)
    )


def _devices(local: int | None, count: int, environ: Mapping) -> list[int] | None:
    """The GPU of a task that shares its host with others; all of them where it is
    alone there, and those that the scheduler shows where it shows one."""
    nodes = environ.get("SLURM_STEP_NUM_NODES")
    alone = environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1" or nodes == str(count)
    shown = environ.get("CUDA_VISIBLE_DEVICES", "")
    bound = bool(shown) and "," not in shown
    return None if local is None or alone or bound else [local]


def _start(place: Place) -> None:
    # kdjax has its own way to stop at a common step, for SIGINT and --minutes too.
    jax.config.update("jax_enable_preemption_service", False)
    if place.process:
        _reach(place)
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
            coordinator_bind_address=_bind_address(place.coordinator),
        )
    except jax.errors.JaxRuntimeError as error:
        raise InputError(_not_met(place, str(error)[:300])) from error
    finally:
        timer.cancel()


def _give_up(place: Place) -> None:
    print(f"kdjax: {_not_met(place, f'{WAIT} seconds are over')}", file=sys.stderr)
    leave_at_once(InputError.exit_code)


def _not_met(place: Place, why: str) -> str:
    return (
        f"process {place.process}: the {place.processes} processes did not meet at "
        f"{place.coordinator} ({why}). Expected all of them started by now, each with "
        "a number of its own, and a port that is free; on SLURM by srun."
    )


def _reach(place: Place) -> None:
    """Waits until process 0 listens: JAX would end this process without a word."""
    host, _, port = place.coordinator.rpartition(":")
    until, why = time.monotonic() + WAIT, None
    while time.monotonic() < until:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                return
        except OSError as error:
            why = error
            time.sleep(0.2)
    raise InputError(
        f"process {place.process} cannot reach {place.coordinator}, where process 0 "
        f"should be ({why}). Is that one started, does this host resolve {host}, and "
        f"does no firewall stand before port {port}?"
    )


def _bind_address(coordinator: str) -> str | None:
    """The one interface that the others know; None, for all of them, where that cannot
    be told. The coordinator asks nobody who they are."""
    host, _, port = coordinator.rpartition(":")
    if "JAX_COORDINATOR_BIND_ADDRESS" in os.environ:
        return None
    try:
        address = socket.gethostbyname(host)
        # Many hosts know their own name as a loopback address.
        if ipaddress.ip_address(address).is_loopback and not _is_local(host):
            return None
        with socket.socket() as probe:
            probe.bind((address, 0))
    except OSError:
        return None
    return f"{address}:{port}"


def _is_local(host: str) -> bool:
    return host == "localhost" or host.startswith("127.")
