"""Images that a caller has, as the `data` section of a config; batches for them."""

import contextlib
import functools
import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data import arrays, npz
from kdjax.data.registry import DATASETS
from kdjax.data.split import DataError
from kdjax.data.tfds.names import default_data_dir, parse_name
from kdjax.datasets import own_set
from kdjax.distributed import collectives
from kdjax.experiment.data import dataset_of
from kdjax.paths.files import missing, names, remove_empty, remove_tree
from kdjax.runner.workdir import GIVEN, LOCK, hold, is_begun, read_config

DATA = "data.npz"  # in a run's directory: what it was given as arrays
FOLDER = GIVEN  # in it: what it was given as a folder of images
AUGMENT = {"padding": 4, "flip": True}  # of images that nobody has measured


def data_section(
    data: Any, data_dir: str, workdir: pathlib.Path
) -> tuple[dict, int | None]:
    """(of a config, how many images train; None where that is not known yet).

    Arrays and folders of images are kept in the run's directory.
    """
    if isinstance(data, str | pathlib.Path):
        if (folder := _folder_of(data, data_dir, workdir)) is not None:
            return collectives.broadcast(lambda: _folder_section(folder, workdir))
        if dataset_of(str(data)) in DATASETS:
            return {"name": str(data), "data_dir": data_dir}, None
        return collectives.broadcast(lambda: _set_section(str(data), data_dir, workdir))
    if not isinstance(data, Mapping) or {"train", "test"} != data.keys():
        held = f" of {', '.join(map(str, data))}" if isinstance(data, Mapping) else ""
        raise InputError(
            f"data is {type(data).__name__}{held}; expected a name, a folder of "
            "images, or a mapping of train and test, and nothing else."
        )
    splits = arrays.splits_of({name: data[name] for name in ("train", "test")})
    collectives.broadcast(lambda: _keep(splits, workdir))
    section = {"name": DATA, "data_dir": str(workdir)} | AUGMENT
    return section, len(splits["train"].label)


@contextlib.contextmanager
def kept(workdir: pathlib.Path) -> Iterator[None]:
    """A call that is refused leaves none of its data in a directory without a run."""
    created, before = missing(workdir), set(names(workdir))
    try:
        yield
    except InputError:
        new = set(names(workdir)) - before
        if new <= {DATA, FOLDER} and not paths.is_url(workdir):
            if FOLDER in new:
                remove_tree(workdir / FOLDER)
            if DATA in new:
                (workdir / DATA).unlink(missing_ok=True)
            remove_empty(created)
        raise


def _folder_of(
    data: str | pathlib.Path, data_dir: str, workdir: pathlib.Path
) -> pathlib.Path | None:
    """The folder of images that `data` is; None where it is the name of a set.

    A set in a data_dir that is given goes before a folder of that name.
    """
    if str(data) in DATASETS or npz.is_npz(str(data)) or paths.is_url(data):
        return None
    if data_dir and isinstance(data, str) and _is_name(data):
        from kdjax.data.tfds import find

        if find.prepared(data, paths.parse(data_dir, "data_dir")):
            return None
    folder = paths.local(data, "data")
    if folder.is_dir() or (workdir / FOLDER / _set_name(folder)).is_dir():
        return folder  # where it was removed, what was prepared of it
    if isinstance(data, pathlib.Path) or not _is_name(data):
        raise DataError(
            f"data is {str(data)!r}, and there is no such folder; expected one of "
            f"images, DIR/CLASS/*.jpg.{paths.nearest(folder)}"
        )
    return None


def _is_name(data: str) -> bool:
    """Whether it may be NAME, NAME/CONFIG or either with :VERSION."""
    try:
        return bool(parse_name(data))
    except DataError:
        return False


def _set_section(
    name: str, data_dir: str, workdir: pathlib.Path
) -> tuple[dict, int | None]:
    """Of a prepared set that kdjax does not know, or of an .npz file.

    DataError for what is neither, nor a folder, before a run begins.
    """
    section = {"name": name, "data_dir": data_dir}
    if npz.is_npz(name):
        return section | AUGMENT, _count_arrays(name, data_dir)
    from kdjax.data.recorded import read_facts
    from kdjax.data.tfds import find

    where = paths.parse(data_dir, "data_dir") if data_dir else default_data_dir()
    directory = find.find(name, where)
    if directory is None and not _is_begun_with(name, workdir):
        raise DataError(
            f"data is {name!r}, and there is neither such a folder here nor a prepared "
            f"set in {where}.{paths.nearest(pathlib.Path(name))} "
            f"{find.advice(name, where)}"
        )
    facts = None if directory is None else read_facts(directory)
    own = AUGMENT if facts is None else own_set.data_section(name, facts)
    splits = {} if directory is None else find.open_builder(directory).info.splits
    count = int(splits["train"].num_examples) if "train" in splits else None
    return section | own, count


def _count_arrays(name: str, data_dir: str) -> int | None:
    """How many images of a file train; None where the run will say what is wrong."""
    path = paths.parse(name, "data")
    if data_dir and not paths.is_url(path):
        path = paths.parse(data_dir, "data_dir") / path
    try:
        with path.open("rb") as opened, npz.Arrays(opened) as file:
            return len(file[f"train{npz.LABEL}"])
    except Exception:  # of a file that anyone wrote
        return None


def _is_begun_with(name: str, workdir: pathlib.Path) -> bool:
    """Whether a run on that set is here: it says itself what it lacks."""
    if not is_begun(workdir):
        return False
    config = read_config(workdir) or {}
    return config.get("data", {}).get("name") == name


def batch_and_rate(count: int | None, batch_size: int | None) -> tuple[int, float]:
    """(batch size, learning rate) of a training on so many images, unless given."""
    if batch_size is not None:
        return int(batch_size), own_set.RATE
    batch = own_set.BATCH if count is None else own_set.choose_batch(count)
    if batch == own_set.BATCH:
        return batch, own_set.RATE
    rate = own_set.RATE * batch / own_set.BATCH
    collectives.log(
        f"{count} training images: batch_size={batch}, and learning_rate={rate:g} "
        "unless it is given"
    )
    return batch, rate


def say_augmentation(section: Mapping, settings: Mapping[str, Any]) -> None:
    """One line on AUGMENT in a `data` section, of keys that the caller has not set."""
    given = {key.removeprefix("config.") for key in settings}
    words = {
        "data.padding": "cropped at random from a border of {padding} pixels",
        "data.flip": "mirrored at random",
    }
    left = {key: text for key, text in words.items() if key not in given}
    if left and AUGMENT.items() <= section.items():
        does = " and ".join(left.values()).format_map(AUGMENT)
        off = {key: type(AUGMENT[key.removeprefix("data.")])() for key in left}
        collectives.log(f"training images are {does}; config={off} switches that off")


def _set_name(folder: pathlib.Path) -> str:
    """What the set of a folder is called: as none whose mean kdjax knows."""
    name = re.sub(r"\W+", "_", folder.resolve().name).strip("_").lower() or "images"
    return f"{name}_images" if name in DATASETS else name


def _folder_section(
    folder: pathlib.Path, workdir: pathlib.Path
) -> tuple[dict, int | None]:
    """Prepares a folder of images in the run's directory, once."""
    if not paths.is_url(workdir) and workdir.is_relative_to(folder.resolve()):
        raise InputError(
            f"workdir: {workdir} lies in data, {folder}, and would be taken for a class"
            "; expected another place, such as runs/1."
        )
    name = _set_name(folder)
    data_dir, log = workdir / FOLDER, collectives.log
    _make(data_dir)
    with _options_of_prepare(folder):
        prepared = _prepare(name, folder, data_dir, workdir)
        section = own_set.data_section(name, prepared.facts)
    for image, error in prepared.skipped.items():
        log(f"{image}: cannot be read, left out ({error})")
    return section | {"data_dir": str(data_dir)}, prepared.splits["train"]


def _prepare(name: str, folder: pathlib.Path, data_dir, workdir: pathlib.Path):
    """The set; anew where the folder's files have changed before the run began."""
    from kdjax.datasets.folder_builder import prepare_folder
    from kdjax.datasets.set_facts import ChangedError
    from kdjax.datasets.write import existing

    if not folder.is_dir() and (prepared := existing(name, data_dir)):
        return prepared  # the folder was removed since
    prepare = functools.partial(
        prepare_folder, name, folder, data_dir=data_dir, log=collectives.log
    )
    try:
        if existing(name, data_dir):
            return prepare()
        with _alone(workdir):
            return prepare()
    except ChangedError as error:
        with _alone(workdir):
            if _holds_runs(workdir):
                raise InputError(
                    f"data: {workdir} holds a run on what {folder} had before: "
                    f"{error.what}. Expected those files, or a new workdir."
                ) from error
            remove_tree(data_dir / name)
            return prepare()


@contextlib.contextmanager
def _alone(workdir: pathlib.Path) -> Iterator[None]:
    """Nobody trains here while data is written; InputError where somebody does.

    A run reads its data again when it goes on, and until its first checkpoint nothing
    else says that they are in use.
    """
    is_new = not paths.is_url(workdir) and not (workdir / LOCK).exists()
    with contextlib.ExitStack() as stack:
        hold(workdir, stack)
        yield
        if is_new:  # the run makes it again, and may be refused
            (workdir / LOCK).unlink(missing_ok=True)


@contextlib.contextmanager
def _options_of_prepare(folder: pathlib.Path) -> Iterator[None]:
    """Says where the options are, of which an error about a folder speaks."""
    try:
        yield
    except DataError as error:
        if not re.search(r"--\w", str(error)):
            raise
        raise DataError(
            f"{error}\nThese are options of `python -m kdjax prepare NAME --folder="
            f"{folder} --data_dir=DIR`; then give data=NAME and data_dir=DIR."
        ) from error


def _keep(splits: dict, workdir: pathlib.Path) -> None:
    """Writes data.npz, unless the run has begun with it already."""
    path = workdir / DATA
    if path.exists():
        kept = {name: npz.load_npz(path, name).identity for name in splits}
        sums = {name: split.identity["sha256"] for name, split in splits.items()}
        if {name: one["sha256"] for name, one in kept.items()} == sums:
            return
    _make(workdir)
    with _alone(workdir):
        if path.exists() and _holds_runs(workdir):
            raise InputError(
                f"data: {workdir} holds a run on other images or labels; expected "
                "those, or a new workdir."
            )
        npz.save_npz(path, splits)


def _make(directory: pathlib.Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"workdir: cannot write to {directory}: {error}.") from error


def _holds_runs(workdir: pathlib.Path) -> bool:
    """Whether something was made here, or in a stage, a trial or a program of it."""
    below = [workdir / name for name in names(workdir)]
    deeper = (one / name for one in below for name in names(one))
    return any(map(is_begun, itertools.chain([workdir], below, deeper)))
