"""What JSON documents of users' directories hold: not finite, or different."""

import math
from typing import Any

from kdjax.contracts import flat


def not_finite(record: Any) -> list[str]:
    """The dotted keys of numbers that are NaN, infinite or missing (null).

    >>> not_finite({"a": {"loss": float("nan"), "top1": 1.0}, "b": None})
    ['a.loss', 'b']
    """
    return [
        key
        for key, value in flat(record).items()
        if value is None or (isinstance(value, float) and not math.isfinite(value))
    ]


def different(old: Any, new: Any) -> list[str]:
    """A clause for each dotted key that two documents have different values of."""
    old, new = flat(old), flat(new)
    return [
        f"{key} is {str(old.get(key))[:60]} and {str(new.get(key))[:60]}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]
