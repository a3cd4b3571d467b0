"""Whether images have one size, as a file of arrays wants it: before a set is prepared.

A set of photographs may take hours to write, and its first two images say that it has
no place in such a file.
"""

import pathlib
from collections.abc import Iterator

from kdjax import paths
from kdjax.data.images.decode import Unreadable, decode
from kdjax.data.prefetch import map_ahead
from kdjax.data.registry import STREAMED
from kdjax.data.split import DataError
from kdjax.data.tfds import find
from kdjax.data.tfds.names import parse_name
from kdjax.data.tfds.records import bytes_feature, open_split
from kdjax.datasets import folders
from kdjax.datasets.image_formats import Pixels, ShortSide, shrunk
from kdjax.datasets.stored_image import stored_image

ADVICE = (
    "expected images of one size, as a file of arrays has them. Leave --npz out: "
    "`train` streams the set as it is. Or resize the images to one size first."
)
_Sized = Iterator[tuple[str, tuple[int, int] | None]]  # name, (height, width) if read


def check(
    name: str,
    form: ShortSide | Pixels | None,
    folder: str | None,
    data_dir: pathlib.Path,
    *,
    nested: bool = False,
    layout: str = "auto",
    exif: str = "apply",
) -> None:
    """Raises DataError if what is to be prepared has images of several sizes.

    What cannot be read is left out of a set, and has no size. Of archives and copies
    of TFRecord nothing is read here.
    """
    if parse_name(name).dataset in STREAMED:
        raise DataError(f"--npz: {name} has photographs of all sizes; {ADVICE}")
    if find.prepared(name, data_dir) is not None:
        sized = _of_set(name, data_dir) if form is not None else iter(())
    elif folder is not None:
        root = paths.local(folder, "--folder")
        sized = _of_folder(folders.scan(root, nested=nested, layout=layout), exif)
    else:
        return
    first = None
    for where, size in sized:
        if size is None:
            continue
        size = shrunk(size, form.side) if form else size
        first = first or (where, size)
        if size != first[1]:
            texts = [
                f"{w} has {s[0]} x {s[1]} pixels" for w, s in (first, (where, size))
            ]
            written = f", as {form.name} writes them" if form else ""
            raise DataError(f"--npz: {' and '.join(texts)}{written}; {ADVICE}")


def _of_folder(folder: folders.Folder, exif: str) -> _Sized:
    def size(image):
        split, file = image
        where = str(folder.path(split, file))
        try:
            content = folder.read(split, file)
            return where, stored_image(content, exif=exif).image.shape[:2]
        except Unreadable:
            return where, None

    images = [(split, file) for split, files in folder.splits.items() for file in files]
    return map_ahead(size, images)


def _of_set(name: str, data_dir: pathlib.Path) -> _Sized:
    opened = open_split(name, "all", data_dir)

    def size(position: int):
        where = opened.name_of(position)
        content = bytes_feature(opened.read_record(position), "image")
        try:
            return where, decode(content).shape[:2]
        except Unreadable:
            return where, None

    return map_ahead(size, range(len(opened.records)))
