"""Turns official archives into TFDS sets on disk, once."""

import difflib
import functools
import pathlib
from collections.abc import Callable

from kdjax import paths
from kdjax.data.errors import DataError
from kdjax.data.tfds import find
from kdjax.data.tfds.names import parse_name
from kdjax.datasets import download
from kdjax.datasets.archive_builder import ArchiveBuilder
from kdjax.datasets.builders import BUILDERS, FashionMnistSubset
from kdjax.datasets.image_formats import options_of
from kdjax.datasets.sharded_writer import OrderedBuilder
from kdjax.datasets.write import Prepared, build, describe

EMBEDDED = FashionMnistSubset.name


def prepare(
    name: str,
    *,
    data_dir: str | pathlib.Path,
    archives: str | pathlib.Path | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Prepares a set, unless it is there already.

    Looks for the official archive in `archives`, in data_dir/downloads/manual and in
    the current directory, and downloads it into the second if it is in none of them.
    ImageNet's has no open address, so its two files must be in one of them.

    Args:
      name: one of `BUILDERS`, optionally with ":VERSION".
      data_dir: where TFDS keeps its sets.
      archives: directory with the official archives.
      say: is told what takes long.

    Raises:
      DataError: the name is unknown, no archive can be had, or its content is wrong.
      OSError: data_dir cannot be written.
    """
    data_dir = paths.local(data_dir, "--data_dir")
    found = find.prepared(name, data_dir)
    if found is not None:
        return describe(name, found, None)
    builder_class = _builder_class(name, data_dir)
    source = _archives(builder_class, data_dir, archives, say)
    say(f"preparing {builder_class.name}")
    directory, builder = _build(builder_class, data_dir, source, say)
    skipped = getattr(builder, "skipped", None)  # which archives in memory have not
    source = "the package" if source is None else str(source)
    return describe(name, directory, source, skipped)


def advice(name: str, data_dir: pathlib.Path) -> str:
    """Says how to come by a set that is not there."""
    dataset, config, _ = parse_name(name)
    options = options_of(config) if config else None
    if options or (dataset in BUILDERS and config is None):
        words = f"{dataset} {options}" if options else name
        return f"Type: python -m kdjax prepare {words} --data_dir={data_dir}"
    nearest = difflib.get_close_matches(dataset, BUILDERS, n=1)
    hint = f"Did you mean {nearest[0]}? " if nearest else ""
    return (
        f"{hint}kdjax prepares {', '.join(BUILDERS)}, and pictures in folders "
        "(prepare NAME --folder=DIR). Any other set that TFDS has written as "
        "array_record, with features image and label, can be used as well."
    )


def _builder_class(name: str, data_dir: pathlib.Path) -> type[ArchiveBuilder]:
    dataset, config, version = parse_name(name)
    builder_class = BUILDERS.get(dataset)
    if builder_class is None or config is not None:
        raise DataError(f"cannot prepare {name!r}. {advice(name, data_dir)}")
    if version not in (None, str(builder_class.VERSION)):
        raise DataError(
            f"{dataset}: version {version} is unknown; expected "
            f"{builder_class.VERSION}."
        )
    return builder_class


def _archives(
    builder_class: type[ArchiveBuilder],
    data_dir: pathlib.Path,
    archives: str | pathlib.Path | None,
    say: Callable[[str], None],
) -> pathlib.Path | None:
    """The directory that holds a set's files; downloads them if there is none."""
    if not builder_class.FILES:
        return None
    manual = data_dir / "downloads" / "manual"
    places = [manual, pathlib.Path.cwd()]
    if archives is not None:
        places.insert(0, paths.local(archives, "--archives"))
        if not places[0].is_dir():
            raise DataError(
                f"{places[0]} is not a directory; expected the archives' one."
            )
    for place in places:
        for files in builder_class.FILES:
            if all((place / file).is_file() for file in files):
                return place
    try:
        for file in builder_class.FILES[0]:
            if not (manual / file).is_file():
                download.fetch(file, manual, say)
    except DataError as error:
        choices = " or ".join(", ".join(files) for files in builder_class.FILES)
        raise DataError(
            f"{error}. Not found either in {', '.join(map(str, places))}. Place "
            f"{choices} into a directory DIR and type: python -m kdjax prepare "
            f"{builder_class.name} --data_dir={data_dir} --archives=DIR"
        ) from error
    return manual


def _build(
    builder_class: type[ArchiveBuilder | OrderedBuilder],
    data_dir: pathlib.Path,
    source: pathlib.Path | None,
    say: Callable[[str], None] = lambda message: None,
):
    arguments = {"archives": source}
    if issubclass(builder_class, OrderedBuilder):
        arguments["say"] = say
    return build(functools.partial(builder_class, **arguments), data_dir)
