"""The log of this process of several, beside what process 0 prints for all.

It has what is the process's own: where it runs, how long it waits for input, and what
ended it.
"""

import contextlib
import faulthandler
import os
import socket
import time
import traceback
from collections.abc import Iterator
from typing import BinaryIO

import jax

from kdjax.contracts import exit_code_of, printable, versions

_file: BinaryIO | None = None


@contextlib.contextmanager
def to_file(file: BinaryIO) -> Iterator[None]:
    """While active, `write` appends to the file; an error comes last. Closes the file.

    Where XLA aborts the process, the stacks of its threads are last, in a file of this
    machine.
    """
    global _file
    outer, _file = _file, file
    dumps = hasattr(file, "fileno") and not faulthandler.is_enabled()
    if dumps:
        faulthandler.enable(file)
    local = ", ".join(str(device) for device in jax.local_devices())
    packages = ", ".join(f"{k} {v}" for k, v in versions("jax", "jaxlib").items())
    write(
        f"process {jax.process_index()} of {jax.process_count()} on "
        f"{socket.gethostname()}, pid {os.getpid()}: {local}; {packages}"
    )
    try:
        yield
    except BaseException as error:
        is_bug = exit_code_of(error) is None
        line = f"{type(error).__name__}: {error}"
        write(traceback.format_exc().rstrip() if is_bug else line)
        raise
    finally:
        if dumps:
            faulthandler.disable()
        _file = outer
        file.close()


def write(text: str) -> None:
    """Appends the time and a text, where a log is open and its disk takes it."""
    if _file:
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {printable(text)}\n"
        with contextlib.suppress(OSError):
            _file.write(line.encode())
