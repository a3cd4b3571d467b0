"""The images that `evaluate` scores networks on: a run's own, or another set's."""

import pathlib
from typing import NamedTuple

from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import Split, crops_of, exact_name, load_split
from kdjax.data.npz import is_npz
from kdjax.data.registry import STREAMED
from kdjax.data.split import DataError
from kdjax.data.tfds.names import parse_name
from kdjax.distributed import collectives
from kdjax.experiment.builders import guarded
from kdjax.experiment.data import streams_by_itself
from kdjax.experiment.teacher_inputs import are_numbers
from kdjax.paths import is_url
from kdjax.runner.workdir import read_config
from kdjax.weights.input_transforms import places_of


class SplitRequest(NamedTuple):
    """Which images are scored; see `python -m kdjax evaluate --help`."""

    split: str = ""  # "": the run's test split, or that of `data`
    data_dir: str = ""
    data: str = ""  # another set than the run's; so are the next three
    feed: str = "auto"
    short_side: int | None = None
    subset: bool = False


def split_to_score(
    workdir: pathlib.Path, data: dict, images: SplitRequest
) -> tuple[Split, list[int] | None]:
    """The images, and which of the network's logits each of their classes is.

    `data` is `Data.identity` of the run; None for the order of its own classes.
    """
    if images.data:
        return _other_split(workdir, data, images)
    if data["test"] is None:
        raise InputError(
            f"--workdir: {workdir} holds imported weights, which have no test split; "
            "expected --data=NAME, the set to score them on."
        )
    return _own_split(workdir, data, images), None


def run_split(
    workdir: pathlib.Path, identity: dict, split: str = "", data_dir: str | None = None
) -> Split:
    """The split of an identity in a run, or another split with its crops."""
    section = _data_section(workdir)
    return load_split(
        exact_name(section.get("name") or identity["name"], identity),
        split or identity["split"],
        data_dir=data_dir or _kept_in(workdir, section),
        crops=crops_of(identity),
    )


def _kept_in(workdir: pathlib.Path, section: dict) -> str | None:
    """Where the set of a run is: beside the run, where both have been moved.

    kdjax.train keeps what it is given in memory in the run's directory.
    """
    where, name = section.get("data_dir"), section.get("name", "")
    if where and not is_url(where) and not (pathlib.Path(where) / name).exists():
        above = (workdir, *workdir.parents[:2])  # of a sweep, or of its programs
        for directory in (part / below for part in above for below in ("", "data")):
            if name and (directory / name).exists():
                return str(directory)
    return where or None


def _data_section(workdir: pathlib.Path) -> dict:
    return (read_config(workdir) or {}).get("data", {})


def _own_split(workdir: pathlib.Path, data: dict, images: SplitRequest) -> Split:
    """The run's test split, or another one of its set; those that it knows, checked."""
    if images.short_side or images.feed != "auto" or images.subset:
        raise InputError(
            "--feed, --short_side and --subset are of another set; expected --data=NAME"
            " with them, or --split for another split of the run's own set."
        )
    split = run_split(workdir, data["test"], images.split, images.data_dir)
    for part in ("test", "train"):
        # Of what was trained on it also says what was kept of it, and its noise.
        identity = {k: v for k, v in split.identity.items() if k != "crops"}
        recorded = {key: data[part].get(key) for key in identity}
        if recorded["split"] == identity["split"] and recorded != identity:
            raise InputError(
                f"--data_dir: these are other images than the run's: {identity} "
                f"instead of {recorded}. Expected --data=NAME for another set."
            )
    return split


def _other_split(
    workdir: pathlib.Path, data: dict, images: SplitRequest
) -> tuple[Split, list[int] | None]:
    """A split of the set that --data names, if the network can answer for it."""
    part, data_dir = images.split or "test", images.data_dir
    if not data_dir and not is_npz(images.data):
        data_dir = _data_section(workdir).get("data_dir")
    data_dir = data_dir or None
    crops = _crops(data, images, data_dir)
    try:
        split = load_split(images.data, part, data_dir=data_dir, crops=crops)
    except DataError as error:
        if crops is None and "expected uint8 of shape" in str(error):
            raise InputError(f"{error} Or crop them: --feed=streamed.") from error
        raise
    shape = list(split.image.shape[1:])
    if shape != data["image_shape"]:
        raise InputError(
            f"--data: {images.data} has images of {shape}; expected what the network "
            f"was trained on, {data['image_shape']}."
        )
    return split, _class_order(data, split, images)


def _class_order(data: dict, split: Split, images: SplitRequest) -> list[int] | None:
    """Which of the network's logits each class of a split is; None: the same order."""
    theirs, ours = data.get("class_names"), list(split.class_names)
    where, classes = f"--data: {images.data}", data["classes"]
    of_network = not theirs or are_numbers(theirs)
    if of_network or are_numbers(ours):
        if len(ours) != classes:
            raise InputError(
                f"{where} has {len(ours)} classes without names to go by, and the "
                f"network {classes}; expected as many."
            )
        if theirs != ours:
            nameless = "network" if of_network else "set"
            text = f"those of the {nameless} have no names"
            collectives.log(f"kdjax evaluate: classes are matched by number: {text}")
        return None
    foreign, absent = (
        [name for name in one if name not in other]
        for one, other in ((ours, theirs), (theirs, ours))
    )
    if foreign or (absent and not images.subset):
        parts = [
            f"{len(names)} that the {one} has and the {other} has not: {_few(names)}"
            for names, one, other in (
                (foreign, "set", "network"),
                (absent, "network", "set"),
            )
            if names
        ]
        hint = "" if foreign else " Or score among the classes of the set: --subset."
        raise InputError(
            f"{where} has other classes than the network: {'; '.join(parts)}. Expected "
            f"the same names, in any order.{hint}"
        )
    if absent:
        collectives.log(
            f"kdjax evaluate: scored among the {len(ours)} classes of {images.data}; "
            f"{len(absent)} others of the network are left out"
        )
    return None if theirs == ours else places_of(theirs, ours, ("network", "set"))


def _few(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")


def _crops(data: dict, images: SplitRequest, data_dir: str | None) -> Geometry | None:
    """What the network sees of images of several sizes; None of those of one."""
    feed, name = images.feed, images.data
    if feed == "auto" and images.short_side:
        feed = "streamed"
    if feed == "auto" and not is_npz(name):
        large = streams_by_itself(name, data_dir)
        feed = "streamed" if large or parse_name(name).dataset in STREAMED else feed
    if feed != "streamed":
        if images.short_side:
            raise InputError("--short_side is of --feed=streamed; images are resident.")
        return None
    height, width, _ = data["image_shape"]
    if height != width:
        raise InputError(
            f"--feed: crops of a streamed set are squares, and the network sees "
            f"{height}x{width}; expected --feed=resident and images of that size."
        )
    own = (data["test"] or {}).get("crops", {}).get("short_side")  # of the run
    short_side = images.short_side or own or round(height * 256 / 224)
    return guarded("--short_side", Geometry, size=height, short_side=short_side)
