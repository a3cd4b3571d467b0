"""One process among those of a run: what it tells the others and hears of them.

All goes through the key-value store of JAX's coordinator, which lives in process 0.
"""

import atexit
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import jax

_FOREVER = 7 * 24 * 3600 * 1000  # ms; of those who never come, JAX's heartbeat tells
_POLL = 10_000  # ms
_GRACE = 5.0  # seconds in which the others are told why
# What collectives say where another process is gone.
_GONE = ("gloo", "connection", "unavailable", "heartbeat", "coordinat", "nccl", "peer")


class PeerLostError(RuntimeError):
    """Another process is gone; the same command goes on from what was saved."""

    exit_code = 42


class ProcessGroup:
    """This process among the others.

    A thread listens to a common list of events: that one wants to stop, has failed, or
    that all is over.
    """

    def __init__(self, client, process: int, processes: int):
        """Begins to listen.

        Args:
          client: of JAX's coordinator.
          process: number of this one.
          processes: how many there are.
        """
        self.process, self.processes = process, processes
        self._client, self._calls, self._trainings = client, 0, 0
        self._lock = threading.Lock()
        self._reached, self._asked = [0, 0], False  # training and step passed
        self._limit, self._why = None, ""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def broadcast(self, make: Callable[[], Any]) -> Any:
        name = self._next_name("broadcast")
        if self.process == 0:
            self._client.key_value_set(name, json.dumps(make()))
        return json.loads(self._client.blocking_key_value_get(name, _FOREVER))

    def all_gather(self, value: Any) -> list[Any]:
        name = self._next_name("all_gather")
        self._client.key_value_set(f"{name}/{self.process}", json.dumps(value))
        return [
            json.loads(self._client.blocking_key_value_get(f"{name}/{i}", _FOREVER))
            for i in range(self.processes)
        ]

    def barrier(self) -> None:
        self._client.wait_at_barrier(self._next_name("barrier"), _FOREVER)

    def stopper(self) -> Callable[[int, str], str]:
        self._trainings += 1
        training = self._trainings

        def should_stop(done: int, why: str) -> str:
            if why and not self._asked:
                self._asked = True
                self._tell({"kind": "stop", "why": why})
            with self._lock:
                here = [training, done]
                if self._limit is not None and here > self._limit:
                    return self._why
                self._reached = here
                return ""

        return should_stop

    def leave(self) -> None:
        """All leave together; the last use of the group."""
        self.barrier()
        if self.process == 0:
            self._tell({"kind": "end"})
        self._thread.join()

    def fail(self, error: BaseException) -> BaseException:
        """Tells the others, so that none of them waits for this one; what to raise."""
        why = _of_jax(error)
        if why is not None:
            # One that failed says so before it goes, and the listener ends this one.
            time.sleep(_GRACE)
            if any(word in str(why).lower() for word in _GONE):
                error = PeerLostError(
                    f"process {self.process} of {self.processes} has lost another one "
                    f"({str(why)[:200]}). The same command goes on from what was saved."
                )
        code = code_of(error)
        text = f"{type(error).__name__}: {error}"
        self._tell({"kind": "failed", "who": self.process, "code": code, "why": text})
        self._await_others()
        # JAX would wait for the others at exit, and they are gone.
        atexit.register(leave_at_once, code)
        return error

    def _next_name(self, kind: str) -> str:
        self._calls += 1
        return f"kdjax/{kind}/{self._calls}"

    def _tell(self, event: dict) -> None:
        number = 0
        while True:
            try:
                self._client.key_value_set(_event(number), json.dumps(event))
                return
            except jax.errors.JaxRuntimeError as error:
                if "ALREADY_EXISTS" not in str(error):
                    return  # the coordinator is gone, and JAX ends those who listen
                number += 1

    def _listen(self) -> None:
        number = 0
        while True:
            try:
                told = self._client.blocking_key_value_get(_event(number), _POLL)
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    time.sleep(1.0)
                continue
            number += 1
            event = json.loads(told)
            if event["kind"] == "end":
                return
            if event["kind"] == "stop":
                self._agree(event["why"])
            elif event["who"] != self.process:
                self._follow(event)

    def _agree(self, why: str) -> None:
        """All stop at the first step that none of them has passed."""
        with self._lock:
            if self._limit is not None:
                return
            mine = json.dumps(self._reached)
            self._client.key_value_set(f"kdjax/reached/{self.process}", mine)
            self._limit = max(
                json.loads(
                    self._client.blocking_key_value_get(f"kdjax/reached/{i}", _FOREVER)
                )
                for i in range(self.processes)
            )
            self._why = why

    def _follow(self, event: dict) -> None:
        """Leaves because another one failed, with its code."""
        print(
            f"kdjax: stopped, as process {event['who']} of {self.processes} failed: "
            f"{event['why']}",
            file=sys.stderr,
        )
        self._client.key_value_set(f"kdjax/left/{self.process}", "")
        self._await_others(event["who"])
        leave_at_once(event["code"])

    def _await_others(self, *but: int) -> None:
        """Process 0 goes last: with it goes what the others listen to."""
        deadline = time.monotonic() + _GRACE
        for number in range(1, self.processes if self.process == 0 else 0):
            left = int(1000 * (deadline - time.monotonic()))
            if number in but or left <= 0:
                continue
            try:
                self._client.blocking_key_value_get(f"kdjax/left/{number}", left)
            except jax.errors.JaxRuntimeError:
                return


def _of_jax(error: BaseException | None) -> jax.errors.JaxRuntimeError | None:
    """What the runtime raised, where an error is that or comes from it."""
    while error is not None and not isinstance(error, jax.errors.JaxRuntimeError):
        error = error.__cause__
    return error


def code_of(error: BaseException) -> int:
    """The exit code of a process that ends with this error."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    code = getattr(error, "exit_code", None)
    return code or (4 if isinstance(error, OSError) else 1)


def _event(number: int) -> str:
    return f"kdjax/event/{number}"


def leave_at_once(code: int) -> None:
    """Ends the process from any thread, with nobody waited for."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
