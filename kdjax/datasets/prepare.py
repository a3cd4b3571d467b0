"""Turns official archives into TFDS sets on disk, once."""

import functools
import pathlib

from kdjax import paths
from kdjax.data.registry import DATASETS
from kdjax.data.split import DataError
from kdjax.data.tfds import find
from kdjax.data.tfds.names import AT_HOME, parse_name
from kdjax.datasets import download
from kdjax.datasets.archive_builder import ArchiveBuilder, builder_class
from kdjax.datasets.write import Log, Prepared, build, existing, silent


def prepare(
    name: str,
    *,
    data_dir: str | pathlib.Path,
    archives: str | pathlib.Path | None = None,
    log: Log = silent,
) -> Prepared:
    """Prepares a set of `kdjax.data.registry.DATASETS`, unless it exists.

    Looks for the official archive in `archives`, in data_dir/downloads/manual and in
    the current directory, and downloads it into the second if it is in none of them
    (not ImageNet's, which has no open address). Raises DataError if the name is
    unknown, no archive can be had or its content is wrong, OSError if data_dir cannot
    be written.
    """
    data_dir = paths.parse(data_dir, "--data_dir")
    if archives is not None:
        archives = paths.local(archives, "--archives")
    if (prepared := existing(name, data_dir)) is not None:
        return prepared
    dataset, config, version = parse_name(name)
    if dataset not in DATASETS or config is not None:
        raise DataError(f"cannot prepare {name!r}. {find.advice(name, data_dir)}")
    builder = builder_class(dataset)
    if version not in (None, str(builder.VERSION)):
        expected = f"expected {builder.VERSION}"
        raise DataError(f"{dataset}: version {version} is unknown; {expected}.")
    directory = _archives(builder, data_dir, archives, log)
    make = functools.partial(builder, archives=directory)
    source = str(directory or "the package")
    return build(name, make, data_dir=data_dir, source=source, log=log)


def _archives(
    builder: type[ArchiveBuilder], data_dir: pathlib.Path, archives, log: Log
) -> pathlib.Path | None:
    """The directory that holds a set's files; downloads them if there is none."""
    if not builder.FILES:
        return None
    # Archives stay on this machine, where TFDS itself would keep them.
    here = paths.local(AT_HOME, "$HOME") if paths.is_url(data_dir) else data_dir
    manual = here / "downloads" / "manual"
    places = [manual, pathlib.Path.cwd()]
    if archives is not None:
        places.insert(0, archives)
        if not archives.is_dir():
            near = paths.nearest(archives)
            raise DataError(
                f"{archives} is not a directory; expected the archives'.{near}"
            )
    for place in places:
        for files in builder.FILES:
            if all((place / file).is_file() for file in files):
                return place
    try:
        for number, file in enumerate(builder.FILES[0]):
            if (manual / file).is_file():
                continue
            if not builder.SUMS:
                where = builder.URL
                raise DataError(f"{file} is given to registered users only: {where}")
            download.fetch(f"{builder.URL}/{file}", builder.SUMS[number], manual, log)
    except DataError as error:
        choices = " or ".join(", ".join(files) for files in builder.FILES)
        raise DataError(
            f"{error} Not found either in {', '.join(map(str, places))}. Place "
            f"{choices} into a directory DIR and type: python -m kdjax prepare "
            f"{builder.name} --data_dir={data_dir} --archives=DIR"
        ) from error
    return manual
