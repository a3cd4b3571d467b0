"""A process of a run that is lost: how the others find out, and what they say."""

import contextlib
import signal
import subprocess
import sys
import time

import jax
import pytest

from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError
from kdjax.distributed import coordinator, lost
from tests.distributed.jobs import ROOT, port

ABORT = """
import os, socket, sys
from kdjax.distributed import lost

lost.end_with_coordinator(sys.argv[1], 1, 2)
os.abort()
"""


def chain(*errors):
    """The last of them, raised from the one before."""
    for cause, error in zip(errors, errors[1:], strict=False):
        error.__cause__ = cause
    return errors[-1]


def test_a_save_that_waits_for_a_lost_process_is_no_fault_of_the_disk():
    gloo = ValueError("UNKNOWN: Gloo all-reduce failed: Connection reset by peer")
    found = lost.cause_of(chain(gloo, RuntimeError("x"), StorageError("free space")))
    assert found is gloo and lost.is_loss(found)
    barrier = RuntimeError("Barrier timed out; a coordination service task is gone")
    assert lost.is_loss(lost.cause_of(chain(barrier, StorageError("free space"))))


def test_a_full_disk_and_a_user_s_error_are_no_loss():
    full = chain(OSError(28, "No space left on device"), StorageError("free space"))
    assert lost.cause_of(full) is None
    assert lost.cause_of(InputError("--coordinator: no peer there")) is None
    memory = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
    assert lost.cause_of(memory) is memory and not lost.is_loss(memory)


NCCL = "INTERNAL: NCCL operation ncclAllReduce(send, recv) failed: "
LOSSES = (
    f"{NCCL}remote process exited or there was a network error",
    f"{NCCL}unhandled system error. 'socketTryAccept: Accept failed'",
    "UNAVAILABLE: heartbeat timeout",
    "INTERNAL: Gloo all-reduce failed: Connection closed by peer",
)
# Of this host alone: a launcher that starts the run again would do so for ever.
OWN_FAULTS = (
    f"{NCCL}unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
    f"{NCCL}invalid usage",
    "RESOURCE_EXHAUSTED: Out of memory while NCCL made a connection",
    "INVALID_ARGUMENT: peer access is not supported between these devices",
    "INTERNAL: failed to enable peer access from 0 to 1",
    "INTERNAL: dlopen of libnccl.so.2 failed: no such file",
    "UNIMPLEMENTED: NCCL is not built in",
)


@pytest.mark.parametrize("text", LOSSES)
def test_errors_that_another_process_is_the_reason_of(text):
    assert lost.is_loss(jax.errors.JaxRuntimeError(text))


@pytest.mark.parametrize("text", OWN_FAULTS)
def test_errors_of_this_host_are_no_loss(text):
    assert not lost.is_loss(jax.errors.JaxRuntimeError(text))


class Store:
    """The key-value store of a coordinator."""

    def __init__(self):
        self.values = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.values
        self.values[key] = value

    def key_value_dir_get(self, prefix):
        return [(k, v) for k, v in self.values.items() if k.startswith(prefix)]


def test_a_process_that_is_silent_is_missed_once(monkeypatch):
    monkeypatch.setattr(lost, "BEAT", 0.02)
    monkeypatch.setattr(lost, "LOST_AFTER", 0.5)
    store, missed = Store(), []
    first = lost.beat(store, 0, 3, lambda number, seconds: missed.append(number))
    others = [lost.beat(store, number, 3, pytest.fail) for number in (1, 2)]
    time.sleep(1.0)
    assert not missed
    others[0].set()
    time.sleep(1.5)
    assert missed == [1]
    for stop in (first, others[1]):
        stop.set()


@pytest.mark.parametrize("is_there", (False, True))
def test_an_abort_is_42_where_the_coordinator_is_gone_alone(is_there):
    import socket

    with contextlib.closing(socket.socket()) as server:
        number = port()
        if is_there:
            server.bind(("127.0.0.1", number))
            server.listen()
        words = [sys.executable, "-c", ABORT, f"127.0.0.1:{number}"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == (-signal.SIGABRT if is_there else 42)
    assert ("has lost process 0" in done.stderr) != is_there


def test_a_coordinator_that_all_can_reach_says_so(monkeypatch):
    monkeypatch.delenv(coordinator.BIND, raising=False)
    assert coordinator.where("10.0.0.1:77", "10.0.0.1:77") == "10.0.0.1:77"
    text = coordinator.where("node7:77", None)
    assert "node7:77, on all interfaces" in text and coordinator.BIND in text
    monkeypatch.setenv(coordinator.BIND, "10.0.0.2:77")
    assert coordinator.where("node7:77", None) == "10.0.0.2:77"
