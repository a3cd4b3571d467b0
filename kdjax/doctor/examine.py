"""All findings about some paths, and about the machine they are on."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax

from kdjax.distributed.xla_flags import VARIABLE
from kdjax.doctor.findings import Finding, Findings, guarded
from kdjax.doctor.kinds import EXPECTED
from kdjax.doctor.kinds import examine as examine_path
from kdjax.doctor.machine import REPORT, examine_machine


class Examined(NamedTuple):
    """A path, or the machine, and what there is to say of it."""

    path: str  # "" of the machine
    kind: str  # "run", "cache" ...; "" where it is nothing that kdjax writes
    findings: list[Finding]


def examine(paths: list[pathlib.Path], quick: bool = False) -> list[Examined]:
    """Looks at each path, then at the machine. What is read stays on the host."""
    examined = []
    with _on_cpu():
        for path in paths:
            check = guarded(path, EXPECTED, examine_path, path, quick)
            examined.append(_collect(str(path), check))
        check = guarded("machine", REPORT, examine_machine, paths)
        examined.append(_collect("", check)._replace(kind="machine"))
    return examined


def _collect(path: str, check: Findings) -> Examined:
    """What a check yields, and what it returns: the kind of the path."""
    findings = []
    while True:
        try:
            findings.append(next(check))
        except StopIteration as end:
            return Examined(path, end.value or "", findings)


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    """Lets JAX start here on the CPU, whatever is set: a run may have the devices.

    XLA ends a process whose flags it does not know; it reads them when JAX starts.
    """
    flags, platforms = os.environ.pop(VARIABLE, None), jax.config.jax_platforms
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.local_devices()
    finally:
        if flags is not None:
            os.environ[VARIABLE] = flags
    try:
        yield
    finally:
        jax.config.update("jax_platforms", platforms)
