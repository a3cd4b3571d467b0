"""One process among those of a run: what they exchange, how they stop and how they end.

All goes through the key-value store of JAX's coordinator, which lives in process 0: a
thread can read it while a step runs. `jax.experimental.multihost_utils` needs devices
that are up and the same order of calls in all threads, and compiles a program for each
new length: 25 to 350 ms on CPU in place of 1 to 4 (jax 0.10 and 0.12).
"""

import atexit
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import jax

from kdjax import contracts
from kdjax.distributed import process_log

_FOREVER = 7 * 24 * 3600 * 1000  # ms; JAX's heartbeat finds those who never come
_POLL = 10_000  # ms
_EVENT = "kdjax/event"
_GRACE = 5.0  # seconds for the other processes to read why this one ends
_LEAVING = 0.2  # seconds from a process's last word to its end


class PeerLostError(RuntimeError):
    """Another process is lost; the same command goes on from what was saved."""

    exit_code = 42


class ProcessGroup:
    """This process among the others.

    A thread reads the events of all: one wants to stop, has failed, or the run is over.
    """

    def __init__(self, client, process: int, processes: int):
        """Starts the thread; `client` is that of JAX's coordinator."""
        self.process, self.processes = process, processes
        self._client, self._calls, self._trainings = client, 0, 0
        self._lock = threading.Lock()
        self._reached = [0, 0]  # training and step
        self._stop_requested, self._stop_after, self._reason = False, None, ""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def broadcast(self, make: Callable[[], Any]) -> Any:
        name = self._next_name("broadcast")
        if self.process == 0:
            self._client.key_value_set(name, json.dumps(make()))
        return self._get(name)

    def all_gather(self, value: Any) -> list[Any]:
        return self._gather(self._next_name("all_gather"), value)

    def gather(self, value: Any) -> list[Any]:
        """Process 0 waits for the others, which do not wait and get their own value."""
        name = self._next_name("gather")
        self._client.key_value_set(f"{name}/{self.process}", json.dumps(value))
        if self.process:
            return [value]
        values = self._values_of(name)
        self._client.key_value_delete(f"{name}/")  # a run makes many
        return values

    def barrier(self) -> None:
        self._client.wait_at_barrier(self._next_name("barrier"), _FOREVER)

    def stopper(self) -> Callable[[int, str], str]:
        self._trainings += 1
        training = self._trainings

        def should_stop(done: int, reason: str) -> str:
            if reason and not self._stop_requested:
                self._stop_requested = True
                self._publish({"kind": "stop", "reason": reason})
            with self._lock:
                position = [training, done]
                if self._stop_after is not None and position > self._stop_after:
                    return self._reason
                self._reached = position
                return ""

        return should_stop

    def leave(self) -> None:
        """All leave together; the last use of the group."""
        self.barrier()
        if self.process == 0:
            self._publish({"kind": "end"})
        self._thread.join()

    def fail(self, error: BaseException) -> BaseException:
        """Publishes the error, so that nobody waits for this process; what to raise."""
        # One process needs none of it.
        from kdjax import user_code
        from kdjax.distributed import lost

        if (cause := lost.cause_of(error)) is not None:
            # A process that failed says so before it ends, and `_listen` ends this one.
            time.sleep(_GRACE)
            if lost.is_loss(cause):
                error = PeerLostError(
                    f"process {self.process} of {self.processes} has lost another one "
                    f"({str(cause)[:200]}). The same command goes on from what was "
                    "saved."
                )
        elif user_code.is_at_fault(error):  # the others say where it is, too
            error = contracts.InputError(user_code.described(error))
        code = exit_code_of(error)
        self._publish_failure(code, f"{type(error).__name__}: {error}")
        self._await_others()
        # JAX would wait at exit for the others, which have ended, and before that
        # Python for the thread of a save, which waits for them too.
        atexit.register(self._leave_now, code)
        threading.Thread(target=self._leave_last, args=(code,), daemon=True).start()
        return error

    def end_at_once(self, code: int, why: str) -> None:
        """Publishes that this process ends, which the caller then does."""
        self._publish_failure(code, why)
        self._await_others()
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(f"kdjax/left/{self.process}", "")

    def lose(self, number: int, seconds: float) -> None:
        """Publishes that process `number` does not answer: all end, this one too."""
        reason = (
            f"it did not answer for {seconds:.0f} s. The same command goes on from "
        )
        event = {"process": number, "code": PeerLostError.exit_code}
        event["reason"] = f"{reason}what was saved."
        self._publish({"kind": "failed"} | event)

    def _publish_failure(self, code: int, reason: str) -> None:
        event = {"kind": "failed", "process": self.process, "code": code}
        self._publish(event | {"reason": reason})

    def _leave_last(self, code: int) -> None:
        """Ends this process once its main thread has ended."""
        threading.main_thread().join()
        self._leave_now(code)

    def _next_name(self, kind: str) -> str:
        self._calls += 1
        return f"kdjax/{kind}/{self._calls}"

    def _get(self, name: str) -> Any:
        return json.loads(self._client.blocking_key_value_get(name, _FOREVER))

    def _gather(self, name: str, value: Any) -> list[Any]:
        self._client.key_value_set(f"{name}/{self.process}", json.dumps(value))
        return self._values_of(name)

    def _values_of(self, name: str) -> list[Any]:
        # One request for those that are set; each that is late takes one more.
        present = dict(self._client.key_value_dir_get(f"{name}/"))
        keys = [f"{name}/{i}" for i in range(self.processes)]
        return [
            json.loads(present[key]) if key in present else self._get(key)
            for key in keys
        ]

    def _publish(self, event: dict) -> None:
        number = 0
        while True:
            try:
                self._client.key_value_set(f"{_EVENT}/{number}", json.dumps(event))
                return
            except jax.errors.JaxRuntimeError as error:
                if "ALREADY_EXISTS" not in str(error):
                    return  # no coordinator any more: JAX ends all processes
                number += 1

    def _listen(self) -> None:
        number, agreement = 0, None
        while True:
            try:
                text = self._client.blocking_key_value_get(f"{_EVENT}/{number}", _POLL)
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    time.sleep(1.0)
                continue
            number += 1
            event = json.loads(text)
            if event["kind"] == "end":
                if agreement is not None:
                    agreement.join()
                return
            if event["kind"] == "failed" and event["process"] != self.process:
                self._end_with(event)
            if event["kind"] == "stop" and agreement is None:
                # A process that is lost never answers, and this thread is to read that.
                agreement = threading.Thread(
                    target=self._agree, args=(event["reason"],), daemon=True
                )
                agreement.start()

    def _agree(self, reason: str) -> None:
        """All stop at the first step that none of them has passed."""
        with self._lock:
            self._stop_after = max(self._gather("kdjax/reached", self._reached))
            self._reason = reason

    def _end_with(self, event: dict) -> None:
        """Ends this process because another one failed, with that one's code."""
        text = (
            f"stopped, as process {event['process']} of {self.processes} failed: "
            f"{event['reason']}"
        )
        with contextlib.suppress(OSError, ValueError):  # nothing keeps it from ending
            process_log.write(text)
        print(f"kdjax: {text}", file=sys.stderr)
        self._await_others()
        self._leave_now(event["code"])

    def _leave_now(self, code: int) -> None:
        """Ends this process; process 0 waits for its last word."""
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(f"kdjax/left/{self.process}", "")
        exit_now(code)

    def _await_others(self) -> None:
        """Process 0 ends last, the one that failed included.

        The events that the others read live in it, and JAX aborts a process whose
        coordinator has gone.
        """
        if self.process:
            return
        deadline = time.monotonic() + _GRACE
        for number in range(1, self.processes):
            left = max(1, int(1000 * (deadline - time.monotonic())))
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                self._client.blocking_key_value_get(f"kdjax/left/{number}", left)
        time.sleep(_LEAVING)


def exit_code_of(error: BaseException) -> int:
    """The exit code of a process that ends with this error."""
    code = contracts.exit_code_of(error)
    return code or (130 if isinstance(error, KeyboardInterrupt) else 1)


def exit_now(code: int) -> None:
    """Ends the process, from any thread and without waiting for others."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
