"""Files of every format that is read, and what comes of them when they are damaged."""

import json
import pathlib
import random
import re
import struct
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kdjax.contracts import exit_code_of

DIGEST = re.compile("[0-9a-f]{64}")


class Kind(NamedTuple):
    """Files of a format, and a function that reads them as the package does."""

    files: list[pathlib.Path]
    read: Callable[[], Any]
    checked: bool = True  # by a checksum of the format: no flip may go unnoticed


def outcome(kind: Kind, right: Any, said: list[str]) -> str:
    """ "right", "error", "said" or "silent"; AssertionError for a traceback of ours.

    `said` gets a line for what is left out, and is emptied here.
    """
    said.clear()
    try:
        value = kind.read()
    except Exception as error:
        if exit_code_of(error) not in (2, 4):
            raise AssertionError(traceback.format_exc()) from error
        text = str(error)
        assert "\n" not in text and len(text) < 2000, text
        assert isinstance(error, OSError) or any(
            part in text
            for path in kind.files
            for part in (path.name, path.parent.name)
        ), text
        return "error"
    if same(value, right):
        return "right"
    return "said" if said else "silent"


def same(a: Any, b: Any) -> bool:
    """Whether b is what was read; a checksum whose key is damaged changes nothing."""
    if isinstance(a, dict) and isinstance(b, dict):
        a = {k: v for k, v in a.items() if k in b or not DIGEST.fullmatch(str(v))}
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def flips(kind: Kind, count: int, seed: int, said: list[str]) -> dict[str, int]:
    """Outcome -> how often, of so many single bits; files are as they were after."""
    right, counts, rng = kind.read(), {}, random.Random(seed)
    for _ in range(count):
        path = rng.choice(kind.files)
        whole = path.read_bytes()
        changed, at = bytearray(whole), rng.randrange(len(whole))
        if not changed[at] and rng.random() < 0.9:  # files of records are mostly zeros
            at = rng.choice([i for i, byte in enumerate(whole) if byte])
        changed[at] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        result = outcome(kind, right, said)
        path.write_bytes(whole)
        assert result != "silent" or not kind.checked, (path.name, at, changed[at])
        counts[result] = counts.get(result, 0) + 1
    assert same(kind.read(), right)
    return counts


def rough(whole: bytes) -> dict[str, bytes]:
    """What is left of a file, or stands in its place."""
    return {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "zeros": bytes(len(whole)),
        "not UTF-8": b"\xff\xfe" + whole,
        "nested": b"[" * 100_000,
        "nested objects": b'{"a":' * 100_000,
        "a huge number": b'{"step": ' + b"9" * 10_000 + b"}",
        "a list": b"[]",
        "null": b"null",
        "an empty object": b"{}",
        "a page": b"<html>404</html>",
    }


ODD = (None, True, -1, 10**30, 1e400, "x", [], [None], {}, {"x": None})


def wrong_types(record: Any):
    """Copies of a JSON value with something else at one of its places."""
    yield from ODD
    items = record.items() if isinstance(record, dict) else ()
    items = enumerate(record) if isinstance(record, list) else items
    for key, inner in list(items):
        for other in wrong_types(inner):
            copy = dict(record) if isinstance(record, dict) else list(record)
            copy[key] = other
            yield copy
    for key in record if isinstance(record, dict) else ():
        yield {other: value for other, value in record.items() if other != key}


def npy(array: np.ndarray, **header) -> bytes:
    """A .npy file that says of itself what the header does."""
    fields = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    text = repr(fields | header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + array.tobytes()


def dumped(record: Any) -> bytes:
    return json.dumps(record).encode()
