"""Loads a split: of a prepared TFDS set, of the embedded set, or of one .npz file."""

import hashlib
import pathlib

from kdjax import paths
from kdjax.data import npz
from kdjax.data.images.crops import Geometry
from kdjax.data.split import DataError, SkippedImages, Split
from kdjax.data.tfds.names import default_data_dir, is_embedded
from kdjax.paths.files import size


def load_split(
    name: str,
    split: str,
    *,
    data_dir: str | pathlib.Path | None = None,
    crops: Geometry | None = None,
    skip_at_most: int = 0,
    threads: int = 0,
) -> Split:
    """Loads a split into memory, or opens it to be decoded when needed.

    Takes any TFDS set in array_record format with features `image` and `label`, any
    file of the form that `kdjax.data.npz` describes, which needs NumPy alone, and the
    embedded set, from the package. The order is TFDS's, or the file's, the same on
    every machine. The network is never touched. Raises DataError if the set is not
    prepared, not readable or not of labelled uint8 images.

    Args:
      name: "cifar100", "my_set/config", "my_set:1.0.0"; or "my_file.npz", looked for
        in `data_dir`, or from the current directory on when that is left out.
      split: "train", "test", or a slice such as "train[:45000]".
      data_dir: where TFDS keeps its sets; None: $TFDS_DATA_DIR, ~/tensorflow_datasets.
      crops: of images that stay on disk and are of any size; None: reads all of them
        into memory.
      skip_at_most: how many unreadable images on disk a training skips.
      threads: that decode images on disk; 0: one a core.
    """
    directory = None if data_dir is None else paths.parse(data_dir, "data_dir")
    in_memory = npz.is_npz(name) or is_embedded(name)
    if in_memory and crops is not None:
        raise DataError(
            f"{name} cannot be streamed: it is read as a whole. Expected the name of a "
            "prepared TFDS set in colour."
        )
    if npz.is_npz(name):
        path = paths.parse(name, "data.name")
        is_whole = directory is None or paths.is_url(path)
        return npz.load_npz(path if is_whole else directory / path, split)
    if is_embedded(name):
        from kdjax.data import embedded

        return embedded.load(name, split)
    # Only here, so that an .npz file can be read where there is no TFDS.
    from kdjax.data.tfds.records import load_records

    directory = directory or default_data_dir()
    if crops is None:
        return load_records(name, split, directory)
    return _open_lazily(name, split, directory, crops, skip_at_most, threads)


def _open_lazily(name, split, directory, crops, skip_at_most, threads) -> Split:
    """A split whose images stay on disk: its labels, and what identifies it."""
    from kdjax.data.images.fast_crop import PIXELS
    from kdjax.data.images.lazy import LazyImages
    from kdjax.data.tfds.labels import read_labels
    from kdjax.data.tfds.records import open_split

    opened = open_split(name, split, directory)
    opened.check_colour()
    label, class_names = read_labels(opened), opened.class_names
    # Names and sizes of the files instead of pixels: reading ImageNet takes minutes.
    shards = [paths.parse(file.filename, "data.name") for file in opened.files()]
    files = [(path.name, size(path)) for path in shards]
    content = hashlib.sha256(repr((class_names, files)).encode())
    content.update(label.astype("<i4").data)
    identity = opened.identity()
    identity |= {"num_examples": len(label), "sha256": content.hexdigest()}
    identity |= {"crops": crops.identity(), "pixels": PIXELS}
    images = LazyImages(opened, crops, SkippedImages(skip_at_most), threads)
    return Split(images, label, class_names, identity)


def size_on_disk(name: str, data_dir: str | pathlib.Path | None = None) -> int:
    """Bytes of a prepared set, all splits together; 0 of what is read as a whole."""
    if npz.is_npz(name) or is_embedded(name):
        return 0
    from kdjax.data.tfds import find

    directory = paths.parse(data_dir, "data_dir") if data_dir else default_data_dir()
    builder = find.open_builder(find.require(name, directory))
    return int(builder.info.dataset_size)


def crops_of(identity: dict) -> Geometry | None:
    """The crops of a split whose images stay on disk; None of one in memory."""
    if "crops" not in identity:
        return None
    crops = identity["crops"]
    sizes = tuple(tuple(pair) for pair in crops.get("sizes", ()))
    return Geometry(**crops | {"sizes": sizes})


def exact_name(name: str, identity: dict) -> str:
    """The name, with its version, that loads the set of a run again."""
    if "version" not in identity:
        return name
    return f"{identity['name']}:{identity['version']}"
