"""What the processes of one run exchange beside the arrays of the step, as JSON.

With one process every function returns at once.
"""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kdjax.contracts import InputError, printable
from kdjax.distributed import process_log
from kdjax.training.loop import NonFinite, Preempted

if TYPE_CHECKING:
    from kdjax.distributed.process_group import ProcessGroup

# All processes raise these at the same step, and then leave together.
COMMON = (Preempted, NonFinite)

_group: "ProcessGroup | None" = None


def processes() -> int:
    """How many processes share this run."""
    return _group.processes if _group else 1


def process() -> int:
    """The number of this one, from 0."""
    return _group.process if _group else 0


def is_primary() -> bool:
    """Whether this process is the one that writes and prints."""
    return _group is None or _group.process == 0


def broadcast(make: Callable[[], Any]) -> Any:
    """What `make` returns in process 0; it is called in no other."""
    return _group.broadcast(make) if _group else make()


def all_gather(value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    return _group.all_gather(value) if _group else [value]


def gather(value: Any) -> list[Any]:
    """The values of all processes, in process 0; in the others, at once, their own."""
    return _group.gather(value) if _group else [value]


def barrier() -> None:
    """Waits for all processes: what process 0 wrote before, all can read."""
    if _group:
        _group.barrier()


def assert_equal(what: str, value: dict[str, Any]) -> None:
    """Raises InputError where a key's value differs from that of process 0."""
    if _group is None:
        return
    value = json.loads(json.dumps(value))
    first = _group.broadcast(lambda: value)
    for key in sorted(first.keys() | value.keys()):
        if first.get(key) != value.get(key):
            raise InputError(
                f"process {_group.process}: {what}: {key} is {value.get(key)!r} here "
                f"and {first.get(key)!r} in process 0; expected the same command and "
                "the same data on all hosts."
            )


def log(text: str) -> None:
    """Prints a line to stderr, in process 0; all write it to their own logs."""
    process_log.write(text)
    if is_primary():
        print(printable(text), file=sys.stderr)


def stopper() -> Callable[[int, str], str]:
    """Makes `should_stop(done, reason) -> reason` of one training.

    All processes call it after the same steps, and get "" until one of them has a
    reason; some steps later all get that reason, after the same step.
    """
    return _group.stopper() if _group else lambda done, reason: reason


def start(client, process: int, processes: int) -> "ProcessGroup":
    """Makes the functions of this module those of several processes."""
    from kdjax.distributed.process_group import ProcessGroup  # one needs none of it

    global _group
    _group = ProcessGroup(client, process, processes)
    return _group


def stop() -> None:
    """Makes them those of one process again."""
    global _group
    _group = None
