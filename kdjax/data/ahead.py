"""Threads that work ahead of whoever asks, in order."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_MOST_THREADS = 16
_AHEAD = 4  # of each thread; pictures, so not many


def decoders() -> int:
    """How many threads decode: one a core that this process may use, 16 at most."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    return min(os.cpu_count() or 1, _MOST_THREADS)


def mapped(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """`map` by `decoders()` threads; few results are held at a time, however many come.

    Raises:
      Exception: the first in order that `function` raises.
    """
    waiting = collections.deque()
    threads = decoders()
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
