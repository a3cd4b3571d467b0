"""A log of each process of several: process-N.log in a directory of the run.

Process 0 prints what all have in common. Here each one writes what is its own: where it
runs, how long it waits for input, and what ended it.
"""

import contextlib
import faulthandler
import os
import pathlib
import socket
import time
import traceback
from collections.abc import Iterator
from typing import TextIO

import jax

from kdjax.contracts import exit_code_of, versions

_file: TextIO | None = None


@contextlib.contextmanager
def opened(directory: pathlib.Path, process: int, processes: int) -> Iterator[None]:
    """While active, `write` appends to process-N.log; an error comes last.

    Where XLA aborts the process, the stacks of its threads do.
    """
    global _file
    directory.mkdir(parents=True, exist_ok=True)
    outer, has_handler = _file, faulthandler.is_enabled()
    with (directory / f"process-{process}.log").open("a", buffering=1) as file:
        _file = file
        if not has_handler:
            faulthandler.enable(file)
        local = ", ".join(str(device) for device in jax.local_devices())
        packages = ", ".join(f"{k} {v}" for k, v in versions("jax", "jaxlib").items())
        write(
            f"process {process} of {processes} on {socket.gethostname()}, pid "
            f"{os.getpid()}: {local}; {packages}"
        )
        try:
            yield
        except BaseException as error:
            is_bug = exit_code_of(error) is None
            line = f"{type(error).__name__}: {error}"
            write(traceback.format_exc().rstrip() if is_bug else line)
            raise
        finally:
            if not has_handler:
                faulthandler.disable()
            _file = outer


def write(text: str) -> None:
    """Appends the time and a text, where a log is open."""
    if _file:
        _file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
