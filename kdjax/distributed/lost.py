"""Finds out that a process of a run is lost, before JAX ends the others with an abort.

JAX's service misses a process after 100 s, and its client aborts a process whose
coordinator is gone, with a stack trace of C++ and -6. A callback instead of that is
called with a status that Python cannot take (jax 0.10: std::bad_cast).
"""

import contextlib
import ctypes
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import jax

BEAT, LOST_AFTER = 5.0, 60.0  # seconds
EXIT_CODE = 42
_ALIVE = "kdjax/alive"
# Words in the errors of collectives when another process is lost. NCCL may call one an
# internal error or a system error (github.com/NVIDIA/nccl/issues/795).
_WORDS = ("gloo", "connection", "unavailable", "heartbeat", "coordinat", "nccl")
_WORDS += ("by peer", "remote peer")
# What is wrong on this host: another start would end in the same way.
_STATUSES = ("resource_exhausted", "invalid_argument", "unimplemented", "not_found")
_OWN = ("cuda error", "out of memory", "invalid usage", "invalid argument", "dlopen")
_ELSEWHERE = ("gloo", "coordination service", "barrier")  # where it is not JAX's error
_handlers = []  # ctypes' functions, which must live as long as the process


def cause_of(error: BaseException) -> BaseException | None:
    """The error of JAX or Gloo behind this one; None where there is none."""
    passed = set()
    while error is not None and id(error) not in passed:
        passed.add(id(error))
        if isinstance(error, jax.errors.JaxRuntimeError):
            return error
        if any(word in str(error).lower() for word in _ELSEWHERE):
            return error
        error = error.__cause__ or error.__context__
    return None


def is_loss(error: BaseException) -> bool:
    """Whether an error of a collective says that another process is lost."""
    text = str(error).lower()
    if text.startswith(_STATUSES) or any(word in text for word in _OWN):
        return False
    return any(word in text for word in _WORDS)


def beat(
    client, process: int, processes: int, lost: Callable[[int, float], None]
) -> threading.Event:
    """Lets the others know that this process lives, until the event is set.

    In process 0, `lost(number, seconds)` is called where another one does not.
    """
    stop = threading.Event()

    def go_on():
        count, beats = 0, {i: (b"", time.monotonic()) for i in range(1, processes)}
        while not stop.wait(BEAT):
            count += 1
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                client.key_value_set(f"{_ALIVE}/{process}", str(count), True)
                if process == 0 and _misses(client, beats, lost):
                    return

    threading.Thread(target=go_on, daemon=True).start()
    return stop


def _misses(client, beats: dict, lost: Callable[[int, float], None]) -> bool:
    """Calls `lost` for a process that is silent for too long; whether it did."""
    present = dict(client.key_value_dir_get(f"{_ALIVE}/"))
    now = time.monotonic()
    for number, (last, since) in beats.items():
        count = present.get(f"{_ALIVE}/{number}", last)
        if count != last:
            beats[number] = count, now
        elif now - since > LOST_AFTER:
            lost(number, now - since)
            return True
    return False


def end_with_coordinator(address: str, process: int, processes: int) -> None:
    """Makes an abort by JAX, when the coordinator at HOST:PORT is lost, an exit code.

    Any other abort stays one.
    """
    host, _, port = address.rpartition(":")

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def aborted(_):
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
        except OSError:
            text = (
                f"kdjax: process {process} of {processes} has lost process 0. The same "
                "command goes on from what was saved.\n"
            )
            with contextlib.suppress(OSError):
                os.write(2, text.encode())
            os._exit(EXIT_CODE)

    library = ctypes.CDLL(None)
    library.signal.restype = ctypes.c_void_p
    library.signal.argtypes = [ctypes.c_int, type(aborted)]
    # Python's own handlers are called when the C code returns, and abort does not.
    library.signal(signal.SIGABRT, aborted)
    _handlers.append(aborted)
