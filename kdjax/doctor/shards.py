"""The shards of a TFDS set: there, whole, and with the records that it says."""

import pathlib
from typing import NamedTuple

import numpy as np

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.tfds import find
from kdjax.data.tfds.names import Name
from kdjax.data.tfds.records import (
    UNDECODED,
    OpenSplit,
    decoded,
    examples,
    open_split,
)
from kdjax.doctor.findings import Findings, guarded, ok, problem
from kdjax.paths.files import size

ALL_BELOW = 4 << 30  # bytes; of larger sets the first and last record of each shard
DECODED = 100  # images whose pixels are looked at
AGAIN = "Delete the set and prepare it anew."


class Read(NamedTuple):
    """What was read of a split."""

    label: np.ndarray
    images: list[np.ndarray]  # some of them, decoded


def open_splits(directory: pathlib.Path) -> Findings:
    """Returns the splits that can be opened."""
    builder = find.open_builder(directory)
    name, data_dir = _place(directory, builder.info.full_name)
    opened = []
    for split, info in builder.info.splits.items():
        where = f"{directory} {split}"
        missing = [f for f in info.file_instructions if not _has(f.filename)]
        if missing:
            file = pathlib.PurePath(missing[0].filename).name
            text = f"lacks {len(missing)} of its files, or they are empty; first {file}"
            yield problem(where, text, AGAIN)
            continue
        split = yield from guarded(where, AGAIN, _open, name, split, data_dir)
        opened += [split] if split else []
    return opened


def read(where: str, opened: OpenSplit, quick: bool) -> Findings:
    """Labels of all records, or of the first and last of each shard; returns a Read."""
    total = sum(size(paths.parse(f.filename, "file")) for f in opened.files())
    whole = not quick and total < ALL_BELOW
    count = len(opened.records)
    if whole:
        label = np.empty(count, np.int64)
        for position, example in examples(opened, UNDECODED):
            label[position] = example["label"]
    else:
        label = np.array([_label(opened, n) for n in _ends(opened)], np.int64)
    opened.check_labels(label)
    positions = np.unique(np.linspace(0, count - 1, DECODED).astype(int)).tolist()
    images = [_image(opened, position) for position in positions]
    how = "all of them read" if whole else f"{len(label)} of them read"
    yield ok(where, f"{count:,} records in {len(opened.files())} files, {how}")
    return Read(label, images)


def _place(directory: pathlib.Path, full_name: str) -> tuple[str, pathlib.Path]:
    """(the name that loads this set, its data_dir): name[/config]/version below it."""
    count = len(full_name.split("/"))
    parts = directory.parts[-count:] if count <= len(directory.parts) else ()
    if list(parts) != full_name.split("/"):
        raise InputError(
            f"is {full_name}, and lies in {'/'.join(parts)}; expected that name, by "
            "which it is looked for"
        )
    dataset, *config, version = parts
    name = Name(dataset, config[0] if config else None, version)
    text = f"{name.dataset}/{name.config}" if name.config else name.dataset
    return f"{text}:{name.version}", directory.parents[count - 1]


def _open(name: str, split: str, data_dir: pathlib.Path) -> Findings:
    yield from ()
    return open_split(name, split, data_dir)


def _has(filename: str) -> bool:
    path = paths.parse(filename, "file")
    return path.exists() and size(path) > 0


def _ends(opened: OpenSplit) -> list[int]:
    """The first and the last position of each file."""
    positions, begin = [], 0
    for file in opened.files():
        count = file.examples_in_shard - file.skip if file.take < 0 else file.take
        positions += [begin, begin + count - 1]
        begin += count
    return sorted(set(positions))


def _label(opened: OpenSplit, position: int) -> int:
    return _example(opened, position)["label"]


def _image(opened: OpenSplit, position: int) -> np.ndarray:
    image = _example(opened, position, opened.decoders)["image"]
    return decoded(opened, position, image)


def _example(opened: OpenSplit, position: int, decoders=UNDECODED) -> dict:
    record = opened.read_record(position)
    return opened.features.deserialize_example_np(record, decoders=decoders)
