"""Traces of some steps of a training, and the operations that took longest."""

import contextlib
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator

import jax

from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.paths.files import written
from kdjax.reporting.trace import Operation, read_operations
from kdjax.training import loop
from kdjax.types import PyTree

DIRECTORY = "tensorboard"  # beside the metrics
SHOWN = 10  # operations
LONGEST = 120  # letters of where one is from


def parse(text: str) -> tuple[int, int]:
    """The first and the last step of --profile, counted from 1."""
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text)
    first, last = map(int, match.groups()) if match else (0, 0)
    if not 1 <= first <= last:
        raise InputError(
            f"--profile is {text!r}; expected A:B, the first and the last step to "
            "trace, such as 101:110."
        )
    return first, last


def check_profile(profile: tuple[int, int], total_steps: int) -> None:
    """Refuses steps that the run does not have."""
    if profile[1] > total_steps:
        raise InputError(
            f"--profile is {profile[0]}:{profile[1]} and the run has {total_steps} "
            "steps; expected steps of it."
        )


@contextlib.contextmanager
def traced(
    steps: loop.Steps,
    profile: tuple[int, int],
    workdir: pathlib.Path,
    say: Callable[[str], None],
) -> Iterator[loop.Steps]:
    """The steps, of which the first process traces those of the profile."""
    if not collectives.is_primary():
        yield steps
        return
    with contextlib.closing(Traced(steps, profile, workdir, say)) as result:
        yield result


class Traced:
    """Steps of which some are traced: whole dispatches, with first to last in them."""

    def __init__(
        self,
        steps: loop.Steps,
        profile: tuple[int, int],
        workdir: pathlib.Path,
        say: Callable[[str], None],
    ):
        self.steps, self.target, self.say = steps, workdir / DIRECTORY, say
        self.first, self.last = profile
        # The first and the last step that are in the trace; 0 before there are some.
        self._from = self._to = 0
        self._metrics = None
        self._directory: tempfile.TemporaryDirectory | None = None  # while it runs

    def ready(self, number: int, most: int) -> tuple[int, PyTree]:
        return self.steps.ready(number, most)

    def run(self, states: PyTree, number: int, count: int, batch_specs: PyTree):
        """(states, metrics) after those steps."""
        if number + count < self.first or number >= self.last:
            return self.steps.run(states, number, count, batch_specs)
        if not self._from:
            jax.block_until_ready(states)  # the steps before are left out
            self._start(number + 1)
        with jax.profiler.StepTraceAnnotation("train", step_num=number + 1):
            result = self.steps.run(states, number, count, batch_specs)
        self._to, self._metrics = number + count, result[1]
        if self._to >= self.last:
            self._stop()
        return result

    def close(self) -> None:
        """Ends the trace of a run that stops before its last step."""
        if self._directory:
            self._stop()
        elif not self._from:
            steps = f"steps {self.first} to {self.last}"
            self.say(f"profile: {steps} are not of this start; nothing was traced")

    def _start(self, step: int) -> None:
        self._from, self._directory = step, tempfile.TemporaryDirectory()
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # each call of Python: slow, and of no use here
        jax.profiler.start_trace(self._directory.name, profiler_options=options)

    def _stop(self) -> None:
        jax.block_until_ready(self._metrics)
        jax.profiler.stop_trace()
        with self._directory as name:
            self._directory = None
            if self._to:  # no error in the first of them
                self._report(pathlib.Path(name))

    def _report(self, source: pathlib.Path) -> None:
        """Brings the files to the workdir, and says what they hold."""
        (trace,) = source.rglob("*.xplane.pb")
        # The profiler writes to local disks only; the workdir may be elsewhere.
        for path in filter(pathlib.Path.is_file, source.rglob("*")):
            target = self.target / path.relative_to(source)
            with written(target) as part:
                part.write_bytes(path.read_bytes())
        self.say(f"profile: steps {self._from} to {self._to} are in {self.target}")
        steps = self._to - self._from + 1
        for line in describe(*read_operations(trace), steps):
            self.say(line)


def describe(operations: list[Operation], devices: int, steps: int) -> list[str]:
    """The costliest operations and their shares of the time of all, line by line."""
    if not operations:
        return [
            "profile: no operation of a device is in the trace; expected some. On GPUs "
            "look whether the process may use CUPTI."
        ]
    total = sum(operation.seconds for operation in operations)
    rest, shown = operations[SHOWN:], operations[:SHOWN]
    if rest:
        seconds, calls = (sum(column) for column in list(zip(*rest, strict=True))[2:])
        shown = [*shown, Operation(f"{len(rest):,} others", "", seconds, calls)]
    lines = [f"   share   ms a step   calls   operation, of {devices} device(s)"]
    for name, origin, seconds, calls in shown:
        each = seconds * 1e3 / steps / devices
        often = calls / steps / devices
        share = 100 * seconds / total
        origin = origin if len(origin) <= LONGEST else f"{origin[: LONGEST - 3]}..."
        lines.append(
            f"{share:6.1f} %{each:12.4f} {often:7.4g}   {name}  {origin}".rstrip()
        )
    return lines
