"""A contestant lives in a process of its own, stays warm, and runs on request.

It answers one JSON line a request on its standard output: first what it is, then the
seconds and CPU seconds of each block. Between requests it waits for a line and computes
nothing. When its standard input closes, it ends.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable


class Lost(RuntimeError):
    """A contestant ended before its time; its own words are on standard error."""


class Unavailable(RuntimeError):
    """This machine cannot run the contestant; the message says why."""


def serve(start: Callable[[], tuple[dict, Callable[[int], None]]]) -> None:
    """The contestant's side: starts, describes itself, and runs blocks until the end.

    Args:
      start: returns a description for JSON, and `run(steps)`, which returns when the
        last step's results are ready. `first_seconds`, its time to the end of a first
        step, is added to the description.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed must not look like an answer

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    started = time.perf_counter()
    try:
        description, run = start()
    except Unavailable as error:
        return answer(unavailable=str(error))
    run(1)
    answer(**description, first_seconds=time.perf_counter() - started)
    for line in sys.stdin:
        steps = json.loads(line)["steps"]
        run(1)  # not timed: batches that were prepared while waiting are gone after it
        started, cpu = time.perf_counter(), time.process_time()
        run(steps)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        answer(seconds=seconds, cpu_seconds=cpu)


class Worker:
    """The referee's side of one contestant."""

    def __init__(self, name: str, module: str, flags: list[str], env: dict[str, str]):
        self.name = name
        # A session of its own: Ctrl-C reaches the referee, which ends the others.
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | env,
        )
        try:
            self.description = self._answer()
            if "unavailable" in self.description:
                raise Unavailable(self.description["unavailable"])
        except BaseException:
            self.close()
            raise

    def seconds(self, steps: int) -> float:
        """Has it run a block."""
        return self.block(steps)["seconds"]

    def block(self, steps: int) -> dict[str, float]:
        """The same: `seconds`, and `cpu_seconds` of all of its threads."""
        try:
            self._process.stdin.write(json.dumps({"steps": steps}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `_answer` says with which code it ended
        return self._answer()

    def close(self) -> None:
        """Ends the process that this object started."""
        if not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise Lost(f"{self.name} ended with code {code}; see above.")
        return json.loads(line)
