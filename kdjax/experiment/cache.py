"""The cache that a config names, compared with what the run needs."""

import dataclasses
import pathlib

from kdjax import paths
from kdjax.caching import manifest
from kdjax.caching.layout import missing
from kdjax.caching.reader import Reader
from kdjax.contracts import InputError
from kdjax.data.transforms.augment import PREPROCESSING
from kdjax.experiment.data import Data
from kdjax.experiment.mixtures import MIXTURES, refuse_mixed
from kdjax.experiment.pretrained import Teacher

KEY = "config.teacher.cache"


def origin_of(teacher: Teacher, data: Data, seed: int, batch_size: int) -> dict:
    """What the teacher's outputs in a run are a function of.

    Of the batch size only where the size of crops changes on the way: a step has one
    size, so it is the batches that say which samples are the last ones of a size.
    """
    crops = {"version": PREPROCESSING} | dataclasses.asdict(data.augment)
    refuse_mixed({name: crops.pop(name) for name in MIXTURES})
    if data.train.identity.get("crops", {}).get("sizes"):
        crops["batch_size"] = batch_size
    return manifest.origin(
        teacher=teacher.identity["digest"],
        data=data.train.identity,
        preprocessing=crops,
        seed=seed,
        classes=len(data.train.class_names),
    )


def epochs_of(total_steps: int, batch_size: int, examples: int) -> int:
    """How many epochs a run begins; the last one may be short.

    >>> epochs_of(total_steps=3, batch_size=4, examples=6), epochs_of(4, 4, 6)
    (2, 3)
    """
    return -(-total_steps * batch_size // examples)


def open_cache(
    config: dict, teacher: Teacher | None, data: Data, total_steps: int
) -> Reader:
    """Opens the cache of `config.teacher.cache`, if it has what the run needs."""
    path = config["teacher"]["cache"]
    if teacher is None:
        raise InputError(
            f"{KEY} is {path!r} and there is no teacher; expected "
            "config.teacher.workdir too: it computes on the test images."
        )
    directory = paths.resolve(path, KEY)
    content = read_manifest(directory, path)
    needed = origin_of(teacher, data, config["seed"], config["batch_size"])
    different = manifest.differences(content, needed)
    if different:
        raise InputError(
            f"{KEY}: {directory} is of another run: {'; '.join(different[:5])}. Write "
            "one with `python -m kdjax cache` and the config of this run."
        )
    epochs = epochs_of(total_steps, config["batch_size"], len(data.train.label))
    gaps = missing(directory, epochs)
    if gaps:
        raise InputError(
            f"{KEY}: {directory} has {epochs - len(gaps)} of the {epochs} epochs that "
            f"this run begins; epoch {gaps[0]} is missing. Run `python -m kdjax cache` "
            f"with --epochs={epochs}; it writes what is missing."
        )
    return Reader(directory, content)


def read_manifest(directory: pathlib.Path, path: str) -> dict:
    """The manifest of the cache in `directory`, which the config calls `path`."""
    content = manifest.read(directory, KEY)
    if content is None:
        raise InputError(
            f"{KEY} is {path!r}, and there is no {manifest.MANIFEST} in it; expected "
            "the --workdir of `python -m kdjax cache`."
        )
    return content
