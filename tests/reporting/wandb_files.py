"""Reads what W&B writes without a server, by its own messages.

A .wandb file has records of Google's LevelDB log format after seven bytes of its own:
blocks of 32 KiB, and in them parts of a message, each after a checksum, its size and
whether it is whole (1), the first (2), a middle (3) or the last part (4).
"""

import json
import pathlib
import struct

BLOCK, HEADER = 1 << 15, 7


def records(path: pathlib.Path):
    from wandb.proto import wandb_internal_pb2

    data, place, message = path.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        _, size, kind = struct.unpack_from("<IHB", data, place)
        if left < HEADER or kind == 0:
            place += left
            continue
        place += HEADER
        message += data[place : place + size]
        place += size
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(message)
            message = b""
            yield record


def of_kind(directory: pathlib.Path, kind: str) -> list:
    """The messages of that kind of all runs below a directory."""
    return [
        getattr(record, kind)
        for path in sorted(directory.rglob("*.wandb"))
        for record in records(path)
        if record.WhichOneof("record_type") == kind
    ]


def items(messages) -> dict:
    """Key -> value of history, config or summary items."""
    return {
        one.key or "/".join(one.nested_key): json.loads(one.value_json)
        for one in messages
    }


def rows(directory: pathlib.Path) -> list[tuple[int, dict]]:
    """(step, values) in the order of the files, without W&B's own values."""
    result = []
    for message in of_kind(directory, "history"):
        values = items(message.item)
        own = {key: x for key, x in values.items() if not key.startswith("_")}
        result.append((message.step.num, own))
    return result
