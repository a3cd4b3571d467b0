"""Prepared data sets: description, shards, counts, labels, classes and pixels."""

import pathlib
from collections import Counter

import numpy as np

from kdjax.contracts import InputError
from kdjax.data import npz
from kdjax.data.registry import DATASETS, measured_augment
from kdjax.data.tfds.feature_classes import FILE as FEATURES
from kdjax.doctor import shards
from kdjax.doctor.findings import Findings, guarded, note, ok, problem
from kdjax.doctor.selections import SELECT_AGAIN, examine_keep
from kdjax.paths.files import is_refused, text_of
from kdjax.paths.json_files import read_json

INFO = "dataset_info.json"
PREPARE = "Delete it and prepare the set anew: `python -m kdjax prepare NAME`."
WRITE = "Write the file anew: `python -m kdjax prepare NAME --npz=FILE`."
DEPTHS = ("*/", "*/*/", "*/*/*/")  # of a version below a data_dir, a set or a config
FAR = 0.1  # of a mean or deviation of pixels in 0 to 1 from the published one


def below(directory: pathlib.Path) -> list[pathlib.Path]:
    """The prepared sets in a directory of them."""
    infos = [path for depth in DEPTHS for path in directory.glob(f"{depth}{INFO}")]
    return sorted({path.parent for path in infos}, key=str)


def examine_sets(directory: pathlib.Path, quick: bool) -> Findings:
    for path in below(directory):
        yield from guarded(path, PREPARE, examine_set, path, quick)


def examine_set(directory: pathlib.Path, quick: bool) -> Findings:
    """One version of a TFDS set; of small ones every record is read, unless `quick`."""
    for name in (INFO, FEATURES):
        path = directory / name
        record = yield from guarded(path, PREPARE, _described, path)
        if record is None:
            return
    opened = yield from shards.open_splits(directory)
    for split in opened:
        where = f"{directory} {split.split}"
        read = yield from guarded(where, PREPARE, shards.read, where, split, quick)
        if read is not None:
            yield from examine_classes(where, split.class_names, read.label)
            yield from examine_pixels(where, read.images, split.identity()["name"])
    if opened and not any(split.split == "train" for split in opened):
        names = ", ".join(split.split for split in opened)
        advice = "Name one of its splits in config.data.train."
        yield note(directory, f"has no split called train; it has {names}", advice)


def _described(path: pathlib.Path) -> Findings:
    yield from ()
    return read_json(path, "the description of a set")


def examine_npz(path: pathlib.Path, quick: bool) -> Findings:
    """A set of one file, or what `select` wrote."""
    try:
        with path.open("rb") as file, npz.Arrays(file) as arrays:
            names = list(arrays)
    except Exception as error:  # zipfile raises five kinds for other files
        if is_refused(error):
            raise
        text = f"cannot be read as a file of arrays: {text_of(error)}"
        raise InputError(text) from error
    parts = [n.removesuffix(npz.IMAGE) for n in names if n.endswith(npz.IMAGE)]
    if "keep" in names:
        yield from guarded(path, SELECT_AGAIN, examine_keep, path)
    elif not parts:
        text = f"is no data set and no selection; it holds {', '.join(names[:6])}"
        advice = f"A set has train{npz.IMAGE} and train{npz.LABEL}, and so for test."
        yield problem(path, text, advice)
    shapes = set()
    for part in parts:
        where = f"{path} {part}"
        split = yield from guarded(where, WRITE, _load, path, part)
        if split is not None:
            shapes.add(split.image.shape[1:])
            yield from examine_classes(where, split.class_names, split.label)
            yield from examine_pixels(where, split.image, "")
            yield ok(where, f"{len(split.label):,} images of {split.image.shape[1:]}")
    if len(shapes) > 1:
        yield problem(path, f"has splits of images of {sorted(shapes)}", WRITE)


def _load(path: pathlib.Path, part: str) -> Findings:
    yield from ()
    return npz.load_npz(path, part)


def examine_classes(where: str, names: tuple[str, ...], labels) -> Findings:
    """Names that are there once, and images of each; labels are in range already."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        text = f"has the class {twice[0]!r} twice"
        yield problem(where, text, "Give each class a name of its own.")
    odd = [name for name in names if not name.strip() or not name.isprintable()]
    if odd:
        text = f"has a class called {odd[0]!r}, which a list of names cannot hold"
        yield note(where, text, "Rename the class; lists have one name a line.")
    empty = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if len(empty) and len(labels) >= 10 * len(names):
        text = f"has no image of {len(empty)} classes, first {names[empty[0]]!r}"
        yield note(where, text, "Is the set whole? Slices of sorted sets lack classes.")


def examine_pixels(where: str, images, name: str) -> Findings:
    """Mean and deviation: of something, and near those that are published."""
    if not len(images):
        return
    if len({value for image in images for value in np.unique(image)}) < 2:
        yield problem(where, "all pixels are the same", PREPARE)
        return
    moments = measure(images)
    dataset = DATASETS.get(name.split("/")[0])
    pairs = dataset and [(moments.mean, dataset.augment.mean)]
    pairs = pairs and [*pairs, (moments.std, dataset.augment.std)]
    texts = [", ".join(f"{x:.3f}" for x in one) for one in (moments.mean, moments.std)]
    text = f"{len(images):,} images have mean {texts[0]} and deviation {texts[1]}"
    if pairs and any(len(a) == len(b) and _far(a, b) for a, b in pairs):
        published = ", ".join(f"{x:.3f}" for x in dataset.augment.mean)
        yield problem(
            where,
            f"{text}; {name} has mean {published}",
            "These are other images, or their channels are in another order.",
        )
    else:
        yield ok(where, text)


def measure(images):
    """An `Augment` with the moments of images of any sizes, of one set."""
    channels = images[0].shape[-1]
    flat = [np.asarray(image).reshape(-1, 1, channels) for image in images]
    pixels = np.concatenate(flat)[None]
    return measured_augment(pixels, padding=0, flip=False)


def _far(a, b) -> bool:
    return bool(np.abs(np.subtract(a, b)).max() > FAR)
