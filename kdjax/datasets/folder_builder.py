"""Turns folders of images into a TFDS set on disk, once."""

import functools
import io
import itertools
import pathlib
import sys

import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.images.decode import Unreadable
from kdjax.data.images.exif import orientation
from kdjax.data.prefetch import map_ahead
from kdjax.data.split import DataError, SkippedImages
from kdjax.data.tfds.names import parse_name
from kdjax.datasets import folders, set_facts
from kdjax.datasets.archive_builder import dataset_info
from kdjax.datasets.imagenet import Imagenet2012Folders
from kdjax.datasets.sharded_writer import Entry, ShardedBuilder, shuffled
from kdjax.datasets.stored_image import EXIF, stored_image
from kdjax.datasets.survey import MEASURED, Survey
from kdjax.datasets.write import Log, Prepared, build, existing, silent

VERSION = "1.0.0"
_LOOKED_AT = 20_000  # images, at most, that are decoded only for a report


class FolderBuilder(ShardedBuilder, skip_registration=True):
    """Files as they are, or upright; each is decoded once, and left out if that fails.

    What cannot be read is counted, and refused by `set_facts` when all is read.
    """

    folder: folders.Folder
    exif: str

    def __init__(self, **arguments):
        self._listed = {
            split: shuffled(
                split, [Entry(f"{f.class_name}/{f.name}", f.size, f) for f in files]
            )
            for split, files in self.folder.splits.items()
        }
        # Their order is that of a hash, so the first ones are a sample.
        sample = itertools.islice(self._listed["train"], MEASURED)
        self.survey = Survey({entry.key for entry in sample})
        self.turned: set[str] = set()  # images that EXIF turns
        super().__init__(skipped=SkippedImages(sys.maxsize), **arguments)

    def _info(self):
        return dataset_info(
            self,
            "Images in folders, one folder a class.",
            "",
            image=tfds.features.Image(shape=(None, None, 3)),
            label=tfds.features.ClassLabel(names=self.folder.class_names),
            file_name=tfds.features.Text(),
        )

    def entries(self):
        return self._listed

    def read(self, split, entry):
        content = self.folder.read(split, entry.source)
        stored = stored_image(content, exif=self.exif)
        if orientation(content) != 1:
            self.turned.add(f"{split}/{entry.key}")
        self.skipped.warn(self.name_of(split, entry), stored.warning)
        self.survey.add(split, entry.key, content, stored.image)
        image, label = io.BytesIO(stored.content), entry.source.class_name
        return {"image": image, "label": label, "file_name": entry.key}

    def name_of(self, split, entry):
        return str(self.folder.path(split, entry.source))

    def nothing_readable(self, split):
        for path, reason in sorted(self.skipped.errors.items()):
            self.folder.problems.add("unreadable", f"{path} ({reason})")
        head = super().nothing_readable(split)
        return DataError("\n".join([str(head), *self.folder.problems.lines(True)]))


def prepare_folder(
    name: str,
    folder: str | pathlib.Path,
    *,
    data_dir: str | pathlib.Path,
    validation: float | None = None,
    seed: int = 0,
    nested: bool = False,
    exif: str = "apply",
    image_size: int | None = None,
    layout: str = "auto",
    skip_at_most: int = 100,
    log: Log = silent,
) -> Prepared:
    """Prepares DIR/CLASS/*.jpg, or DIR/train/CLASS/*.jpg and DIR/val/..., once.

    The folder has to be there also where the set is: it says whether that is of it.

    JPEG, PNG, WebP, BMP, TIFF and GIF, recognised by content. Under the name
    imagenet2012 they become TFDS's own set, of which nothing may be missing: no option
    matters then.

    Args:
      validation: share of each class, 0 or more and below 1, that becomes the
        validation split. None: 0.2 of a folder without train/, else nothing.
      seed: which share that is, by a hash of the files' names.
      nested: whether images in folders of a class's folder are of the class.
      exif: "apply" turns images as EXIF says, "refuse" takes none that it turns.
      image_size: side in pixels of what networks will see; None: by the images.
      layout: what the folders in it are, "classes" or "splits"; "auto": as they hold
        images or folders of classes.
      skip_at_most: how many files that cannot be decoded are left out.

    Raises:
      DataError: one report of all that is wrong; or the set is there, of other files
        or options. OSError: data_dir cannot be written.
    """
    data_dir = paths.parse(data_dir, "--data_dir")
    folder = paths.local(folder, "--folder")
    dataset, config, version = parse_name(name)
    if config is not None:
        raise DataError(f"{name!r}: a folder's set has no config; leave out /{config}.")
    if skip_at_most < 0:
        raise InputError(f"--skip_at_most is {skip_at_most}; expected 0 or more.")
    _check_apart(folder, data_dir / dataset)
    prepared = existing(name, data_dir)
    if dataset == Imagenet2012Folders.name:
        make = functools.partial(Imagenet2012Folders, archives=folder)
        how = {"data_dir": data_dir, "source": str(folder), "log": log}
        return prepared or build(name, make, **how)
    options = {"validation": validation, "seed": seed, "nested": nested, "exif": exif}
    options |= {"image_size": image_size, "layout": layout}
    listed, source = _listed(folder, **options)
    if prepared:
        set_facts.check_same(prepared, source)
        return prepared
    if listed.problems.is_fatal:
        _look(listed, exif, log)
        listed.problems.check(str(folder))
    make = FolderBuilder.named(dataset, version or VERSION, folder=listed, exif=exif)
    finish = functools.partial(
        set_facts.write, source=source, skip_at_most=skip_at_most
    )
    return build(
        name, make, data_dir=data_dir, source=str(folder), log=log, finish=finish
    )


def check_folder(prepared: Prepared, folder: str | pathlib.Path, **options) -> None:
    """Raises ChangedError where a set, in any format, is of another folder.

    Or of other `options`, which are those of `prepare_folder`. Of ImageNet no folder is
    recorded, and nothing is compared.
    """
    if prepared.facts is not None:
        _, source = _listed(paths.local(folder, "--folder"), **options)
        set_facts.check_same(prepared, source)


def _listed(
    folder: pathlib.Path,
    *,
    validation: float | None = None,
    seed: int = 0,
    nested: bool = False,
    exif: str = "apply",
    image_size: int | None = None,
    layout: str = "auto",
) -> tuple[folders.Folder, dict]:
    """The images of a folder, and what is recorded of where a set comes from."""
    if exif not in EXIF:
        raise InputError(f"--exif is {exif!r}; expected {' or '.join(EXIF)}.")
    listed = folders.scan(folder, nested=nested, layout=layout)
    share = listed.validation_share(validation)
    listed = listed.with_validation(share, seed)
    source = {"validation": share, "seed": seed, "nested": nested, "exif": exif}
    return listed, source | {"image_size": image_size, "listing": listed.digest()}


def _check_apart(folder: pathlib.Path, directory: pathlib.Path) -> None:
    """A set that lies in the folder of its images would be a class of the next one."""
    if paths.is_url(directory):
        return
    if directory.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"--data_dir: the set would be written into {directory}, which is in "
            f"--folder, {folder}; expected another --data_dir, such as data."
        )


def _look(listed: folders.Folder, exif: str, log: Log) -> None:
    """Decodes the images of a folder that is refused already, for the one report."""
    images = [(split, file) for split, files in listed.splits.items() for file in files]
    if len(images) > _LOOKED_AT:
        log(f"looking at {_LOOKED_AT:,} of {len(images):,} images")

    def reason(image) -> str:
        try:
            stored_image(listed.read(*image), exif=exif)
        except Unreadable as error:
            return f"{listed.path(*image)} ({error})"
        return ""

    for text in filter(None, map_ahead(reason, images[:_LOOKED_AT])):
        listed.problems.add("unreadable", text)
