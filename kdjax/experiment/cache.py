"""The cache that a config names: found, and compared with what the run would need."""

import dataclasses
import pathlib

from kdjax import paths
from kdjax.caching import manifest
from kdjax.caching.layout import missing
from kdjax.caching.reader import Reader
from kdjax.contracts import InputError
from kdjax.data.transforms.augment import PREPROCESSING
from kdjax.experiment.data import Images
from kdjax.experiment.mixup_checks import refuse_mixed
from kdjax.experiment.pretrained import Teacher

KEY = "config.teacher.cache"


def origin_of(teacher: Teacher, images: Images, seed: int, batch_size: int) -> dict:
    """What the teacher's answers in a run are a function of.

    Of the batch size only where the size of crops changes on the way: a step has one
    size, so it is the batches that say which samples are the last ones of a size.

    Raises:
      InputError: the images of the run are mixed.
    """
    crops = {"version": PREPROCESSING} | dataclasses.asdict(images.augment)
    refuse_mixed(crops.pop("mixup"))
    if images.train.identity.get("crops", {}).get("sizes"):
        crops["batch_size"] = batch_size
    return manifest.origin(
        teacher=teacher.identity["digest"],
        data=images.train.identity,
        preprocessing=crops,
        seed=seed,
        classes=len(images.train.class_names),
    )


def epochs_of(total_steps: int, batch_size: int, examples: int) -> int:
    """How many epochs a run begins; the last one may be short.

    >>> epochs_of(total_steps=3, batch_size=4, examples=6), epochs_of(4, 4, 6)
    (2, 3)
    """
    return -(-total_steps * batch_size // examples)


def open_cache(
    config: dict, teacher: Teacher | None, images: Images, total_steps: int
) -> Reader | None:
    """Opens the cache that `config.teacher.cache` names, or None where it names none.

    Args:
      config: plain.
      teacher: of the run.
      images: of the run.
      total_steps: of the run.

    Raises:
      InputError: there is none, or it holds other answers, or not enough of them.
    """
    path = config["teacher"]["cache"]
    if not path:
        return None
    if teacher is None:
        raise InputError(
            f"{KEY} is {path!r} and there is no teacher; expected "
            "config.teacher.workdir too: its answers to the test images are computed."
        )
    directory = paths.local(path, KEY).resolve()
    told = read_manifest(directory, path)
    wanted = origin_of(teacher, images, config["seed"], config["batch_size"])
    different = manifest.differences(told, wanted)
    if different:
        raise InputError(
            f"{KEY}: {directory} is of another run: {'; '.join(different[:5])}. Write "
            "one with `python -m kdjax cache` and the config of this run."
        )
    epochs = epochs_of(total_steps, config["batch_size"], len(images.train.label))
    gone = missing(directory, epochs)
    if gone:
        raise InputError(
            f"{KEY}: {directory} has {epochs - len(gone)} of the {epochs} epochs that "
            f"this run begins; epoch {gone[0]} is missing. Run `python -m kdjax cache` "
            f"with --epochs={epochs}; it writes what is missing."
        )
    return Reader(directory, told)


def read_manifest(directory: pathlib.Path, path: str) -> dict:
    """The manifest of the cache that the key names."""
    told = manifest.read(directory, KEY)
    if told is None:
        raise InputError(
            f"{KEY} is {path!r}, and there is no {manifest.MANIFEST} in it; expected "
            "the --workdir of `python -m kdjax cache`."
        )
    return told
