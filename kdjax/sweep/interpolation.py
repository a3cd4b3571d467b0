"""Values in words, and placeholders in a config for values of the same config.

"{seed}" or another dotted key in any text of a trial's config stands for the trial's
value of it, or for its short name on an axis that has them.
"""

import re
from collections.abc import Mapping
from typing import Any

from kdjax.contracts import InputError, flat, nearest

PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.-]*)\}")


def describe(value: Any) -> str:
    """A value in words: kd_temperature-4.0, 16x32x64, true."""
    if isinstance(value, Mapping):
        rest = [f"{key}-{describe(v)}" for key, v in value.items() if key != "name"]
        value = "_".join([str(value["name"]), *rest] if "name" in value else rest)
    elif isinstance(value, list | tuple):
        value = "x".join(map(describe, value))
    elif isinstance(value, bool):
        value = str(value).lower()
    return str(value) or "empty"


def fill(config: dict, labels: Mapping[str, str]) -> dict:
    """A plain config with values for "{dotted.key}"; `labels`, by key, come first."""
    leaves = {k: v for k, v in flat(config).items() if v not in (None, "", (), {})}
    words = {key: describe(value) for key, value in leaves.items()}
    words = {k: v for k, v in words.items() if not PLACEHOLDER.search(v)} | labels

    def value_of(match):
        if match.group(1) not in words:
            raise InputError(
                f"config: {match.string!r} refers to {match.group(1)}; expected a "
                "dotted key that holds one value." + nearest(match.group(1), words)
            )
        return words[match.group(1)]

    def filled(value):
        if isinstance(value, Mapping):
            return {key: filled(inner) for key, inner in value.items()}
        if isinstance(value, tuple):
            return tuple(map(filled, value))
        return PLACEHOLDER.sub(value_of, value) if isinstance(value, str) else value

    return filled(config)
