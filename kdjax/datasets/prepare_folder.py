"""Turns folders of pictures into a TFDS set on disk, once."""

import functools
import pathlib
from collections.abc import Callable

from kdjax import paths
from kdjax.data.errors import DataError
from kdjax.data.images.skipped import Skipped
from kdjax.data.tfds import find
from kdjax.data.tfds.names import parse_name
from kdjax.datasets import folder_builder, folders
from kdjax.datasets.imagenet import Imagenet2012Folders
from kdjax.datasets.write import Prepared, build, describe

ADVICE = "Mend or delete what cannot be read, or allow more with --skip_at_most."


def prepare_folder(
    name: str,
    folder: str | pathlib.Path,
    *,
    data_dir: str | pathlib.Path,
    skip_at_most: int,
    say: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Prepares DIR/train/CLASS/*.JPEG and DIR/val/CLASS/*.JPEG, unless it is there.

    The files are stored as they are. Each is decoded once; those that cannot be read
    are left out. Under the name imagenet2012 they become TFDS's own set of that name,
    of which nothing may be missing.

    Args:
      name: what the set is to be called, optionally with ":VERSION".
      folder: DIR.
      data_dir: where TFDS keeps its sets.
      skip_at_most: how many unreadable pictures are left out before that is an error.
      say: is told what takes long.

    Raises:
      DataError: the folder is laid out in another way, or too much is unreadable.
      OSError: data_dir cannot be written.
    """
    data_dir = paths.local(data_dir, "--data_dir")
    folder = paths.local(folder, "--folder")
    dataset, config, version = parse_name(name)
    if config is not None:
        raise DataError(f"{name!r}: a folder's set has no config; leave out /{config}.")
    found = find.prepared(name, data_dir)
    if found is not None:
        return describe(name, found, None)
    if dataset == Imagenet2012Folders.name:
        make = functools.partial(Imagenet2012Folders, archives=folder)
    else:
        listed = folders.scan(folder)
        if listed.ignored:
            say(f"{folder}: {listed.ignored:,} files are no pictures by their names")
        version = version or folder_builder.VERSION
        builder_class = folder_builder.builder_class(dataset, version, listed)
        skipped = Skipped(skip_at_most, ADVICE)
        make = functools.partial(builder_class, skipped=skipped)
    say(f"preparing {name}")
    directory, builder = build(functools.partial(make, say=say), data_dir)
    return describe(name, directory, str(folder), builder.skipped)
