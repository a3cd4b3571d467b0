"""python -m kdjax prepare NAME [--archives=DIR | --folder=DIR | --tfrecord=DIR]"""

import argparse
import contextlib
import functools
import pathlib
import signal
import sys
import threading

from kdjax import paths
from kdjax.data import npz
from kdjax.data.errors import DataError
from kdjax.data.load import load_split
from kdjax.data.tfds import find
from kdjax.data.tfds.names import default_data_dir
from kdjax.datasets import staging
from kdjax.datasets.builders import BUILDERS
from kdjax.datasets.convert_images import derive, derived_name
from kdjax.datasets.image_formats import Pixels, ShortSide
from kdjax.datasets.prepare import prepare
from kdjax.datasets.prepare_folder import prepare_folder
from kdjax.datasets.tfrecord import convert
from kdjax.datasets.write import Prepared

OK, BAD_INPUT, STORAGE = 0, 2, 4
TERMINATED = 128 + signal.SIGTERM  # as shells have it
_QUALITY = 95


def main(argv: list[str]) -> int:
    """Prepares one set, and another form of it if that is asked for.

    Returns:
      0 when the set is there; 2 for a wrong name, archive or folder; 4 when the disk
      refuses; 143 after SIGTERM, with what was begun deleted.
    """
    try:
        arguments = read(argv)
    except SystemExit as stop:  # argparse has said why
        return OK if stop.code == 0 else BAD_INPUT
    try:
        with _terminable():
            return _run(arguments)
    except _Terminated:
        print("kdjax prepare: SIGTERM; what was begun is deleted", file=sys.stderr)
        return TERMINATED


class _Terminated(BaseException):
    """SIGTERM came. No error: nobody takes it for one of a file."""


@contextlib.contextmanager
def _terminable():
    """Lets SIGTERM end what is done as an error would: nothing is left behind."""

    def end(number, frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # or deleting would be ended too
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def read(argv: list[str]) -> argparse.Namespace:
    """What was typed."""
    return _parser().parse_args(argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdjax prepare",
        description="Writes a data set to disk in TFDS's array_record format, without "
        "TensorFlow. The official archive is taken from --archives, from "
        "DIR/downloads/manual or from the current directory; if it is in none of them, "
        "it is downloaded, ImageNet's excepted. Folders of pictures become a set under "
        "any NAME, or imagenet2012 if they are ImageNet's.",
        epilog="--short_side and --pixels write the set once more as NAME/FORM, e.g. "
        "imagenet2012/pixels_160; the original may be deleted then.",
    )
    parser.add_argument(
        "name", metavar="NAME", help=f"{', '.join(BUILDERS)}; or a name of yours"
    )
    parser.add_argument(
        "--data_dir",
        default=default_data_dir(),
        metavar="DIR",
        help="where TFDS keeps its sets (default: $TFDS_DATA_DIR, else "
        "~/tensorflow_datasets)",
    )
    _add_sources(parser.add_mutually_exclusive_group())
    _add_forms(parser)
    parser.add_argument(
        "--skip_at_most",
        type=int,
        default=100,
        metavar="N",
        help="leave out so many unreadable pictures of a folder, of TFDS's copy or of "
        "a set that is written in another form, before that is an error (default: 100)",
    )
    parser.add_argument(
        "--npz",
        type=pathlib.Path,
        metavar="FILE.npz",
        help="writes the set as one NumPy file too, for machines without TFDS; there, "
        "--config.data.name=FILE.npz reads it",
    )
    return parser


def _add_sources(group) -> None:
    group.add_argument(
        "--archives", metavar="DIR", help="directory that holds the official archives"
    )
    group.add_argument(
        "--folder",
        metavar="DIR",
        help="pictures: DIR/train/CLASS/*.JPEG, DIR/val/CLASS/*.JPEG; stored as they "
        "are",
    )
    group.add_argument(
        "--tfrecord",
        metavar="DIR",
        help="another data_dir, where TFDS prepared the set as TFRecord: copies the "
        "records",
    )


def _add_forms(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--short_side",
        type=int,
        metavar="PIXELS",
        help="writes smaller JPEGs too, by area means; for crops.short_side=PIXELS",
    )
    group.add_argument(
        "--pixels",
        type=int,
        metavar="PIXELS",
        help="writes pictures of that short side as pixels too: nothing to decode",
    )
    parser.add_argument(
        "--quality",
        type=int,
        metavar="Q",
        help=f"of the JPEGs of --short_side, 1 to 100 (default: {_QUALITY})",
    )


def _run(arguments: argparse.Namespace) -> int:
    try:
        for done in _prepared(arguments):
            _tell(done)
        if arguments.npz:
            _write(arguments.npz, done, arguments)
            print(f"wrote {arguments.npz}")
    except DataError as error:
        print(f"kdjax prepare: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(
            f"kdjax prepare: {error}. Make room, or choose another --data_dir.",
            file=sys.stderr,
        )
        return STORAGE
    return OK


def _prepared(arguments: argparse.Namespace):
    """The set, and its other form if that is asked for, each when it is there."""
    form, name = form_of(arguments), arguments.name
    # While a builder works, sys.stderr is another one.
    say = functools.partial(print, file=sys.stderr, flush=True)
    how = {"data_dir": arguments.data_dir, "say": say}
    left_out = {"skip_at_most": arguments.skip_at_most}
    if arguments.skip_at_most < 0:
        raise DataError(
            f"--skip_at_most is {arguments.skip_at_most}; expected 0 or more."
        )
    staging.clean(paths.local(arguments.data_dir, "--data_dir"), say)
    derived = derived_name(name, form) if form else None
    if form and find.prepared(derived, pathlib.Path(arguments.data_dir)):
        pass  # what it was made from may be gone
    elif arguments.folder:
        yield prepare_folder(name, arguments.folder, **how, **left_out)
    elif arguments.tfrecord:
        yield convert(name, arguments.tfrecord, **how, **left_out)
    else:
        yield prepare(name, archives=arguments.archives, **how)
    if form is not None:
        yield derive(name, form, **how, **left_out)


def form_of(arguments: argparse.Namespace) -> ShortSide | Pixels | None:
    """The other form that is asked for."""
    if arguments.quality is not None and arguments.short_side is None:
        raise DataError("--quality is that of --short_side; expected both.")
    if arguments.short_side is not None:
        return ShortSide(
            arguments.short_side,
            _QUALITY if arguments.quality is None else arguments.quality,
        )
    return None if arguments.pixels is None else Pixels(arguments.pixels)


def _tell(done: Prepared) -> None:
    """One line on standard output; pictures to look at go to the other one."""
    for name, why in list(done.skipped.items())[:3]:
        print(f"{name}: cannot be read ({why})", file=sys.stderr)
    for name, why in list(done.doubtful.items())[:20]:
        print(f"{name}: kept, but look at it ({why})", file=sys.stderr)
    sizes = ", ".join(f"{split} {count}" for split, count in done.splits.items())
    how = "was prepared already" if done.source is None else f"from {done.source}"
    left = len(done.skipped)
    left_out = f"; {left:,} unreadable, left out" if left else ""
    if done.doubtful:
        left_out += f"; {len(done.doubtful):,} doubtful, kept"
    print(f"{done.name}: {sizes}{left_out}; {how}; {done.directory}")


def _write(path: pathlib.Path, done: Prepared, arguments: argparse.Namespace) -> None:
    """All splits of a prepared set as one file."""
    read = functools.partial(load_split, done.name, data_dir=arguments.data_dir)
    npz.save_npz(
        paths.local(path, "--npz"), {split: read(split) for split in done.splits}
    )
