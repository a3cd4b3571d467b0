"""How many cores there are, and a `map` whose threads work ahead, in order."""

import collections
import concurrent.futures
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_AHEAD = 4  # items of each thread; images, so not many


_sharing = 1  # processes that have the same cores


def share_cores(processes: int) -> None:
    """Divides what `cores` counts by the processes of this host that all count it."""
    global _sharing
    _sharing = processes


def cores() -> int:
    """Cores that this process may use: its affinity, its container's quota, its share.

    1 or more; the share is that of `share_cores`.
    """
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    quota = pathlib.Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        limit, period = quota.read_text().split()
        if limit != "max":
            count = min(count, max(1, math.ceil(int(limit) / int(period))))
    return max(1, count // _sharing)


def map_ahead(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """`map` by one thread a core; holds few results at a time, however many come."""
    waiting, threads = collections.deque(), cores()
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
