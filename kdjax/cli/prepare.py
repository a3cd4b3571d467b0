"""python -m kdjax prepare: writes a data set to disk, without TensorFlow.

  python -m kdjax prepare NAME [--archives=DIR | --folder=DIR | --tfrecord=DIR]
                          [--short_side=PIXELS | --pixels=PIXELS] [--npz=FILE.npz]
  python -m kdjax prepare photos --folder=photos [--validation=0.2] [--image_size=96]

The format is TFDS's array_record. The official archive is taken from --archives, from
DIR/downloads/manual or from the current directory; if it is in none of them, it is
downloaded, ImageNet's excepted. Folders of images become a set under any NAME, or
imagenet2012 if they are ImageNet's. Of your own images it measures mean and deviation,
says what the set is, writes a config and shows the commands that train and distil.

--short_side and --pixels write the set once more as NAME/FORMAT, for instance
imagenet2012/pixels_160; the original may be deleted then.
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Iterator

from kdjax import cli, paths
from kdjax.data import npz
from kdjax.data.load import load_split
from kdjax.data.registry import DATASETS
from kdjax.data.split import DataError
from kdjax.data.tfds.names import default_data_dir
from kdjax.data.tfds.records import SizesError
from kdjax.datasets import one_size, staging
from kdjax.datasets.convert_images import convert_images, converted_set
from kdjax.datasets.folder_builder import check_folder, prepare_folder
from kdjax.datasets.holdout import SHARE
from kdjax.datasets.image_formats import Pixels, ShortSide
from kdjax.datasets.own_set import commands, config_text
from kdjax.datasets.prepare import prepare
from kdjax.datasets.summary import summary
from kdjax.datasets.tfrecord import convert_tfrecord
from kdjax.datasets.write import Prepared
from kdjax.reporting.console import say

_QUALITY = 95
_TYPES = {"PIXELS": int, "Q": int, "N": int, "SHARE": float}
_OPTIONS = {
    "--data_dir=DIR": "where TFDS keeps its sets (default: $TFDS_DATA_DIR, else "
    "~/tensorflow_datasets)",
    "--quality=Q": f"of the JPEGs of --short_side, 1 to 100 (default: {_QUALITY})",
    "--skip_at_most=N": "leave out so many unreadable images of a folder, of TFDS's "
    "copy or of a set that is written in another format, before that is an error "
    "(default: 100)",
    "--npz=FILE.npz": "writes the set as one NumPy file too, for machines without "
    "TFDS; on them, --config.data.name=FILE.npz reads it",
}
_SOURCES = {
    "--archives=DIR": "directory that holds the official archives",
    "--folder=DIR": "images, JPEG, PNG, WebP, BMP, TIFF or GIF: DIR/CLASS/*.jpg, or "
    "DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg",
    "--tfrecord=DIR": "another data_dir, where TFDS prepared the set as TFRecord: "
    "copies the records",
}
_OF_FOLDERS = {
    "--validation=SHARE": "of each class, split off for validation, the same part of "
    f"the same files everywhere (default: {SHARE:g} of a folder without train/)",
    "--seed=N": "which part that is (default: 0)",
    "--exif=WORD": "apply: images are turned as EXIF says (default). refuse: those "
    "that it turns count as unreadable",
    "--image_size=PIXELS": "side of what networks will see (default: by the images, "
    "224 at most)",
    "--layout=WORD": "what the folders in DIR are: classes, splits (train, val, test), "
    "or auto, by what they hold (default)",
    "--config_out=FILE.py": "where the config goes (default: config.py in the set's "
    "directory)",
}
_FORMATS = {
    "--short_side=PIXELS": "writes smaller JPEGs too, by area means; for "
    "crops.short_side=PIXELS",
    "--pixels=PIXELS": "writes images of that short side as pixels too: nothing to "
    "decode",
}


def main(argv: list[str]) -> int:
    """Prepares one set, and the same in another format if one is given."""
    options = read(argv)
    try:
        _run(options)
    except OSError as error:
        raise OSError(f"{error}. Make room, or choose another --data_dir.") from error
    return 0


def read(argv: list[str]) -> argparse.Namespace:
    parser = cli.parser("prepare", __doc__)
    names = f"{', '.join(DATASETS)}; or a name of yours"
    parser.add_argument("name", metavar="NAME", help=names)
    for group, options in (
        (parser, _OPTIONS),
        (parser.add_mutually_exclusive_group(), _SOURCES),
        (parser.add_mutually_exclusive_group(), _FORMATS),
        (parser.add_argument_group("with --folder"), _OF_FOLDERS),
    ):
        for usage, text in options.items():
            name, value = usage.split("=")
            kind = _TYPES.get(value, str)
            group.add_argument(name, metavar=value, type=kind, help=text)
    text = "images in folders of a class's folder are of the class"
    group.add_argument("--nested", action="store_true", help=text)
    text = "replace a file of --config_out that is another"
    group.add_argument("--overwrite", action="store_true", help=text)
    parser.set_defaults(skip_at_most=100)
    return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> None:
    data_dir = default_data_dir() if options.data_dir is None else options.data_dir
    data_dir = paths.parse(data_dir, "--data_dir")
    file = None if options.npz is None else paths.parse(options.npz, "--npz")
    if file is not None:
        npz.check_name(file)
    for prepared in _prepared(options, data_dir):
        _report(prepared)
    if prepared.facts is not None:
        _show_next_steps(prepared, options)
    if file is not None:
        _save_npz(file, prepared, data_dir)


def _save_npz(file: pathlib.Path, prepared: Prepared, data_dir: pathlib.Path) -> None:
    load = functools.partial(load_split, prepared.name, data_dir=data_dir)
    try:
        splits = {split: load(split) for split in prepared.splits}
    except SizesError as error:
        text = f"--npz: {prepared.name} is prepared, and has images of several sizes"
        raise DataError(f"{text}; {one_size.ADVICE}") from error
    npz.save_npz(file, splits)
    say(f"wrote {file}")


def _prepared(
    options: argparse.Namespace, data_dir: pathlib.Path
) -> Iterator[Prepared]:
    """The set, and the same in another format if one is given, when each is ready."""
    image_format, name, own = format_of(options), options.name, _of_folder(options)
    if (most := options.skip_at_most) < 0:
        raise DataError(f"--skip_at_most is {most}; expected 0 or more.")
    # While a builder works, sys.stderr is another one.
    log = functools.partial(say, stream=sys.stderr)
    common = {"data_dir": data_dir, "log": log}
    limited = common | {"skip_at_most": most}
    staging.clean(data_dir, log)
    done = image_format and converted_set(name, image_format, data_dir)
    if done:  # the original may be deleted
        if options.folder is not None:
            check_folder(done, options.folder, **own)
        yield done
        return
    if options.npz is not None:
        reading = {k: v for k, v in own.items() if k in ("nested", "layout", "exif")}
        one_size.check(name, image_format, options.folder, data_dir, **reading)
    if options.folder is not None:
        yield prepare_folder(name, options.folder, **own, **limited)
    elif options.tfrecord is not None:
        yield convert_tfrecord(name, options.tfrecord, **limited)
    else:
        yield prepare(name, archives=options.archives, **common)
    if image_format is not None:
        yield convert_images(name, image_format, **limited)


def _of_folder(options: argparse.Namespace) -> dict:
    """The options that were given and are of --folder alone."""
    names = [usage.partition("=")[0] for usage in _OF_FOLDERS]
    names += ["--nested", "--overwrite"]
    names = [name.removeprefix("--") for name in names]
    given = {name: getattr(options, name) for name in names}
    # By identity: 0 is equal to False, and --validation=0 is an answer.
    given = {k: v for k, v in given.items() if v is not None and v is not False}
    if given and options.folder is None:
        raise DataError(f"--{next(iter(given))} is that of --folder; expected both.")
    if options.overwrite and options.config_out is None:
        raise DataError("--overwrite is that of --config_out; expected both.")
    return {k: v for k, v in given.items() if k not in ("config_out", "overwrite")}


def format_of(options: argparse.Namespace) -> ShortSide | Pixels | None:
    """The other format."""
    quality = options.quality
    if quality is not None and options.short_side is None:
        raise DataError("--quality is that of --short_side; expected both.")
    if options.short_side is not None:
        return ShortSide(options.short_side, _QUALITY if quality is None else quality)
    return None if options.pixels is None else Pixels(options.pixels)


def _report(prepared: Prepared) -> None:
    """One line on standard output; images to look at go to standard error."""
    for name, error in list(prepared.skipped.items())[:3]:
        say(f"{name}: cannot be read ({error})", sys.stderr)
    for name, warning in list(prepared.doubtful.items())[:20]:
        say(f"{name}: kept, but look at it ({warning})", sys.stderr)
    parts = [", ".join(f"{split} {count}" for split, count in prepared.splits.items())]
    if prepared.skipped:
        parts.append(f"{len(prepared.skipped):,} unreadable, left out")
    if prepared.doubtful:
        parts.append(f"{len(prepared.doubtful):,} doubtful, kept")
    source = prepared.source
    parts.append("was prepared already" if source is None else f"from {source}")
    say(f"{prepared.name}: {'; '.join(parts)}; {prepared.directory}")


def _show_next_steps(prepared: Prepared, options: argparse.Namespace) -> None:
    """Says what a set of one's own is, writes its config, shows its commands."""
    for line in summary(prepared):
        say(line)
    for line in prepared.facts["warnings"]:
        say(line, sys.stderr)
    if prepared.splits.keys() <= {"train"}:
        say("It has no images to validate with: --validation=0.2 splits some off.")
        return
    if options.config_out is not None:
        path = paths.local(options.config_out, "--config_out")
    elif paths.is_url(prepared.directory):
        say("--config_out=FILE.py writes a config that trains on it.")
        return
    else:
        path = prepared.directory / "config.py"
    data_dir = options.data_dir or ""
    version = prepared.directory.name
    text = config_text(prepared.name, prepared.facts, str(path), data_dir, version)
    if options.config_out is not None:
        _write_config(path, text, options.overwrite)
    elif not path.exists():  # one that is there may have been edited
        path.write_text(text, encoding="utf-8")
    say(f"\nA teacher, then a student of it, by {path}, which is yours to edit:\n")
    for command in commands(prepared.name, str(path), data_dir, cli.program()):
        say(command)


def _write_config(path: pathlib.Path, text: str, overwrite: bool) -> None:
    """Writes --config_out, and no file over another one that is not its own."""
    where = f"--config_out: {path}"
    if path.suffix != ".py" or path.is_dir():
        raise DataError(f"{where} is no file FILE.py, as --config takes; expected one.")
    try:
        before = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        before = None
    if before not in (None, text) and not overwrite:
        raise DataError(
            f"{where} exists and is another; expected a new file, or --overwrite."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
