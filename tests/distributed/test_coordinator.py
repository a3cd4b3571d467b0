"""HOST:PORT of process 0: who waits for it, for how long, and what it listens on."""

import argparse
import socket
import time

import pytest

from kdjax.contracts import InputError
from kdjax.distributed import (
    cluster_env,
    collectives,
    coordinator,
    rendezvous,
    runtime,
)
from kdjax.distributed.cluster_env import RendezvousError
from tests.distributed.jobs import Job, port


def options(**given):
    return argparse.Namespace(**dict.fromkeys(cluster_env.VARIABLES) | given)


@pytest.mark.errors
def test_a_coordinator_that_nobody_reaches(monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setattr(rendezvous, "WAIT", 0.5)
        start, all_three = time.monotonic(), {"processes": "2", "process": "1"}
        # A host that comes late is no bad input: launchers run that again.
        with pytest.raises(RendezvousError, match=f"cannot reach {address}.*firewall"):
            with runtime.joined(options(coordinator=address, **all_three)):
                raise AssertionError("it went on")
    assert time.monotonic() - start < 20 and collectives.processes() == 1


ALONE = """
import argparse, sys
from kdjax.distributed import rendezvous, runtime
rendezvous.WAIT = 1.0
first = argparse.Namespace(coordinator=sys.argv[1], processes="2", process="0")
with runtime.joined(first):
    pass
"""


def test_a_process_that_never_comes(tmp_path):
    job = Job(tmp_path, [f"127.0.0.1:{port()}"], module=("-c", ALONE))
    assert job.codes() == [42], job.text()
    assert "kdjax: process 0: the 2 processes did not meet at 127.0.0.1" in job.text()


@pytest.mark.parametrize("name", ("127.0.0.1", "no-such-host.invalid"))
@pytest.mark.errors
def test_a_port_that_is_taken(name, monkeypatch):
    """JAX 0.10 would end the process by SIGSEGV."""
    monkeypatch.setattr(rendezvous, "PORT_WAIT", 0.3)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        address = f"{name}:{held.getsockname()[1]}"
        first = options(coordinator=address, processes="2", process="0")
        with pytest.raises(InputError, match=f"port .* of {address} is taken here"):
            with runtime.joined(first):
                raise AssertionError("it went on")


def test_a_port_of_a_process_that_still_ends(monkeypatch):
    held, waits = socket.socket(), []
    held.bind(("127.0.0.1", 0))
    held.listen()
    address = f"127.0.0.1:{held.getsockname()[1]}"

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            held.close()

    monkeypatch.setattr(coordinator.time, "sleep", sleep)
    coordinator.check_free(address, address, 30.0)
    assert len(waits) == 3


def test_the_coordinator_listens_where_it_is_looked_for(monkeypatch):
    assert coordinator.bind_address("localhost:77") == "127.0.0.1:77"
    assert coordinator.bind_address("no-such-host.invalid:77") is None
    # What the others resolve to this host's address, it often knows as a loopback.
    monkeypatch.setattr(socket, "gethostbyname", lambda host: "127.0.1.1")
    assert coordinator.bind_address("node7:77") is None
    monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", "10.0.0.1:77")
    assert coordinator.bind_address("localhost:77") is None
