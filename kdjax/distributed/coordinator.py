"""HOST:PORT of process 0, where the processes of a run meet."""

import errno
import ipaddress
import os
import socket
import time

from kdjax.contracts import InputError
from kdjax.distributed.cluster_env import ProcessInfo, RendezvousError

BIND = "JAX_COORDINATOR_BIND_ADDRESS"  # overrides what is detected here


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def check_free(coordinator: str, bind: str | None, seconds: float) -> None:
    """Raises InputError where process 0 finds its port taken; JAX would abort.

    A launcher may start a run again while the process before still ends: it has
    `seconds` to leave the port.
    """
    if BIND in os.environ:
        return
    host, port = _split(bind or coordinator)
    deadline = time.monotonic() + seconds
    while _is_taken(host if bind else "", port):
        if time.monotonic() >= deadline:
            raise InputError(
                f"process 0: port {port} of {coordinator} is taken here, for "
                f"{seconds:g} s; expected a free one. Does an earlier run still go on?"
            )
        time.sleep(0.2)


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def wait_for_coordinator(info: ProcessInfo, seconds: float) -> None:
    """Waits until process 0 listens; JAX would end this process without a message."""
    host, port = _split(info.coordinator)
    deadline, reason = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host.strip("[]"), port), timeout=5):
                return
        except OSError as error:
            reason = error
            time.sleep(0.2)
    raise RendezvousError(
        f"process {info.process} cannot reach {info.coordinator}, where process 0 "
        f"should be ({reason}). Is that one started, does this host resolve {host}, "
        f"and does no firewall stand before port {port}?"
    )


def bind_address(coordinator: str) -> str | None:
    """The one interface that the others know; None, for all, where it is not clear.

    The coordinator does not authenticate, so it should listen nowhere else.
    """
    host, port = _split(coordinator)
    if BIND in os.environ:
        return None
    is_local = host == "localhost" or host.startswith("127.")
    try:
        address = socket.gethostbyname(host)
        # Many hosts know their own name as a loopback address.
        if ipaddress.ip_address(address).is_loopback and not is_local:
            return None
        with socket.socket() as probe:
            probe.bind((address, 0))
    except OSError:
        return None
    return f"{address}:{port}"


def where(coordinator: str, bind: str | None) -> str:
    """For the log: what process 0 listens at, and whether that is more than it says."""
    if bind or BIND in os.environ:
        return os.environ.get(BIND) or coordinator
    host, port = _split(coordinator)
    return (
        f"{coordinator}, on all interfaces, as {host} is no address of one here: "
        f"whoever reaches port {port} can end the run. {BIND}=ADDRESS:{port} names one"
    )
