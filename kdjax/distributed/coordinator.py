"""HOST:PORT of process 0, where the processes of a run meet."""

import errno
import ipaddress
import os
import socket
import time

from kdjax.contracts import InputError
from kdjax.distributed.cluster_env import ProcessInfo, RendezvousError

BIND = "JAX_COORDINATOR_BIND_ADDRESS"  # where users know better


def check_address(name: str, text: str) -> None:
    """Refuses what is no HOST:PORT; `name` says where it stands."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(
            f"{name} is {text!r}; expected HOST:PORT, where process 0 runs and a port "
            "that is free there."
        )


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address that was checked."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def check_free(coordinator: str, bind: str | None) -> None:
    """Looks at the port of process 0, in that process.

    Raises:
      InputError: it is taken. JAX would end this process by a signal.
    """
    if BIND in os.environ:
        return
    host, port = split_address(bind or coordinator)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host if bind else "", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise InputError(
                    f"process 0: port {port} of {coordinator} is taken here; "
                    "expected a free one. Does an earlier run still go on?"
                ) from error


def reach(place: ProcessInfo, seconds: float) -> None:
    """Waits until process 0 listens: JAX would end this process without a word.

    Raises:
      Apart: it does not, all those seconds.
    """
    host, port = split_address(place.coordinator)
    deadline, why = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host.strip("[]"), port), timeout=5):
                return
        except OSError as error:
            why = error
            time.sleep(0.2)
    raise RendezvousError(
        f"process {place.process} cannot reach {place.coordinator}, where process 0 "
        f"should be ({why}). Is that one started, does this host resolve {host}, and "
        f"does no firewall stand before port {port}?"
    )


def bind_address(coordinator: str) -> str | None:
    """The one interface that the others know; None, for all of them, where that cannot
    be told. The coordinator asks nobody who they are."""
    host, port = split_address(coordinator)
    if BIND in os.environ:
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
