"""Holds a run's directory in a bucket against a second writer.

Buckets have no locks, and what a killed process wrote stays. So the holder writes an
object again and again, and it is free when nobody has written it for EXPIRY seconds, by
the clock of the process that waits: clocks of hosts are not compared. Every write is on
condition that nobody else has written since, so that of two writers one fails.
"""

import contextlib
import json
import os
import pathlib
import secrets
import socket
import sys
import threading
import time

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.runner.workdir import LOCK

# Seconds. A holder may miss three beats; it waits for an answer for ANSWER at most.
BEAT, ANSWER, EXPIRY = 10.0, 10.0, 45.0
EXIT_CODE = 4  # of a process whose directory another one has taken
AGAIN = 42  # of one that could not write the lease in time: nothing is wrong with it
# Of TensorStore, where the user has to do something.
REFUSED = ("NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT")
REFUSED += ("Error parsing",)  # such as the name of a bucket
_DRIVERS = {"gs": "gcs", "s3": "s3"}  # of TensorStore


def hold(workdir: pathlib.Path, stack: contextlib.ExitStack) -> None:
    """Takes the lease, and gives it back when the stack closes.

    Where a process held it last, waits until that has written again, or for EXPIRY
    seconds. InputError where it lives, or the bucket cannot be written.
    """
    paths.parse(str(workdir), "--workdir")  # of a stage or trial, a name of its own
    try:
        lease = _Lease(workdir)
        lease.take()
    except InputError:
        raise
    except Exception as error:  # TensorStore's ValueError, and what clients raise
        if not any(word in str(error) for word in REFUSED):
            raise UnreachableError(
                f"--workdir: {workdir} does not answer: {str(error)[:300]}. The same "
                "command may be run again."
            ) from error
        raise InputError(
            f"--workdir: cannot write to {workdir}: {str(error)[:300]}. Expected a "
            "bucket that is there, and credentials to read and write it."
        ) from error
    stack.callback(lease.release)
    lease.keep()


class UnreachableError(RuntimeError):
    """The bucket did not answer; the same command goes on when it does."""

    exit_code = AGAIN


class _Lease:
    """One object, and the generation of it that this process wrote."""

    def __init__(self, workdir: pathlib.Path):
        import tensorstore  # only here: local runs do without

        self.workdir = workdir
        url, _, path = str(workdir).partition("://")[2].partition("/")
        driver = _DRIVERS[str(workdir).partition("://")[0]]
        spec = {"driver": driver, "bucket": url, "path": f"{path}/" if path else ""}
        self._store = tensorstore.KvStore.open(spec).result()
        holder = {"host": socket.gethostname(), "pid": os.getpid()}
        self._holder = holder | {"token": secrets.token_hex(8)}
        self._generation, self._beats, self._written_at = b"", 0, time.monotonic()
        self._stop, self._thread = threading.Event(), None

    def take(self) -> None:
        last = self._store.read(LOCK).result(timeout=ANSWER)
        if last.state == "value":
            last = self._await_expiry(last)
        if not self._write(last.stamp.generation):
            raise self._refused()

    def keep(self) -> None:
        """Writes it every BEAT seconds, until `release`."""
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def release(self) -> None:
        self._stop.set()
        self._thread.join(timeout=ANSWER)
        if self._thread.is_alive():
            return  # the bucket does not answer; it expires
        with contextlib.suppress(Exception):  # then it expires
            release = self._store.write(LOCK, None, if_equal=self._generation)
            release.result(timeout=ANSWER)

    def _await_expiry(self, last):
        """What is read when it is free; InputError where it is written meanwhile."""
        print(
            f"--workdir: {self.workdir} was last held by {_name(last.value)}; waiting "
            f"{EXPIRY:g} s to see whether that run is alive",
            file=sys.stderr,
        )
        deadline = time.monotonic() + EXPIRY
        while time.monotonic() < deadline:
            time.sleep(min(1.0, BEAT))
            now = self._store.read(LOCK).result(timeout=ANSWER)
            if now.state != "value":  # given back meanwhile
                return now
            if now.stamp.generation != last.stamp.generation:
                raise self._refused()
        return last

    def _refused(self) -> InputError:
        return InputError(
            f"--workdir: another run is writing to {self.workdir}; wait for it or "
            "choose another directory."
        )

    def _write(self, before: bytes) -> bool:
        """Writes it anew, if its generation is `before`."""
        started = time.monotonic()
        self._beats += 1
        record = self._holder | {"beats": self._beats}
        value = json.dumps(record).encode()
        write = self._store.write(LOCK, value, if_equal=before)
        written = write.result(timeout=ANSWER).generation
        if not written:
            # Of a write whose answer was lost the next one fails on itself.
            now = self._store.read(LOCK).result(timeout=ANSWER)
            if now.state != "value" or self._holder["token"].encode() not in now.value:
                return False
            written = now.stamp.generation
        self._generation, self._written_at = written, started
        return True

    def _keep(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                is_held = self._write(self._generation)
            except Exception as error:  # a network that fails; the next beat tries it
                print(f"--workdir: {self.workdir}: {error}", file=sys.stderr)
                # Before another run may take it: two would write here.
                if time.monotonic() - self._written_at > EXPIRY - BEAT - ANSWER:
                    _leave(self.workdir, "could not be held", AGAIN)
                continue
            if not is_held:
                _leave(self.workdir, "was taken by another run", EXIT_CODE)


def _name(value: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        record = json.loads(value)
        return f"process {record['pid']} on {record['host']}"
    return "another process"


def _leave(workdir: pathlib.Path, why: str, code: int) -> None:
    """Ends the process at once: whatever it wrote now may be in another's run."""
    print(
        f"kdjax: {workdir} {why}: its {LOCK} was not written in time; nothing more is "
        "written to it, and what was saved is there.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(code)
