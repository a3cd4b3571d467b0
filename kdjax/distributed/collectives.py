"""What the processes of one run tell each other beside the arrays of the step.

With one process every function does what it says at once.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from kdjax.contracts import InputError
from kdjax.distributed.process_group import ProcessGroup
from kdjax.training.loop import NonFinite, Preempted

# What all processes raise at the same step: they leave by the common door.
COMMON = (Preempted, NonFinite)

_group: ProcessGroup | None = None


def processes() -> int:
    """How many processes share this run."""
    return _group.processes if _group else 1


def is_primary() -> bool:
    """Whether this process is the one that writes and prints."""
    return _group is None or _group.process == 0


def broadcast(make: Callable[[], Any]) -> Any:
    """What `make` returns in the first process; called in no other. JSON."""
    return _group.broadcast(make) if _group else make()


def all_gather(value: Any) -> list[Any]:
    """The value of every process, in their order. JSON."""
    return _group.all_gather(value) if _group else [value]


def barrier() -> None:
    """Returns when all processes have come here: what the first wrote is there."""
    if _group:
        _group.barrier()


def assert_equal(what: str, value: dict[str, Any]) -> None:
    """Refuses to go on with processes that were given different things.

    Raises:
      InputError: this one's value of a key is another than the first one's.
    """
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


def say(text: str) -> None:
    """Prints a sentence, once."""
    if is_primary():
        print(text, file=sys.stderr)


def stopper() -> Callable[[int, str], str]:
    """Makes `agreed(done, why) -> why` of one training, called by all at equal steps.

    It returns the same in all processes: a reason of any of them, some steps later.
    """
    return _group.stopper() if _group else lambda done, why: why


def begin(client, process: int, processes: int) -> ProcessGroup:
    """Makes the functions of this module speak for several processes."""
    global _group
    _group = ProcessGroup(client, process, processes)
    return _group


def end() -> None:
    """They speak for one process again."""
    global _group
    _group = None
