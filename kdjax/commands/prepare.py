"""python -m kdjax prepare NAME [--data_dir=DIR] [--archives=DIR] [--npz=FILE]"""

import argparse
import functools
import pathlib
import sys

from kdjax.data import npz
from kdjax.data.builders import BUILDERS
from kdjax.data.errors import DataError
from kdjax.data.names import default_data_dir
from kdjax.data.prepare import Prepared, prepare
from kdjax.data.sources import load_split

OK, BAD_INPUT, STORAGE = 0, 2, 4


def main(argv: list[str]) -> int:
    """Prepares one set.

    Returns:
      0 when the set is there; 2 for a wrong name or archive; 4 when the disk refuses.
    """
    parser = argparse.ArgumentParser(
        prog="kdjax prepare",
        description="Writes a data set to disk in TFDS's array_record format. The "
        "official archive is taken from --archives, from DIR/downloads/manual or from "
        "the current directory; if it is in none of them, it is downloaded.",
    )
    parser.add_argument("name", metavar="NAME", help=", ".join(BUILDERS))
    parser.add_argument(
        "--data_dir",
        default=default_data_dir(),
        metavar="DIR",
        help="where TFDS keeps its sets (default: $TFDS_DATA_DIR, else "
        "~/tensorflow_datasets)",
    )
    parser.add_argument(
        "--archives", metavar="DIR", help="directory that holds the official archives"
    )
    parser.add_argument(
        "--npz",
        type=pathlib.Path,
        metavar="FILE.npz",
        help="writes the set as one NumPy file too, for machines without TFDS; there, "
        "--config.data.name=FILE.npz reads it",
    )
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said why
        return OK if stop.code == 0 else BAD_INPUT
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        done = prepare(
            arguments.name,
            data_dir=arguments.data_dir,
            archives=arguments.archives,
            say=lambda message: print(message, file=sys.stderr, flush=True),
        )
        if arguments.npz:
            _write(arguments.npz, done, arguments)
    except DataError as error:
        print(f"kdjax prepare: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(
            f"kdjax prepare: {error}. Make room, or choose another --data_dir.",
            file=sys.stderr,
        )
        return STORAGE
    sizes = ", ".join(f"{split} {count}" for split, count in done.splits.items())
    how = "was prepared already" if done.source is None else f"from {done.source}"
    print(f"{done.name}: {sizes}; {how}; {done.directory}")
    if arguments.npz:
        print(f"wrote {arguments.npz}")
    return OK


def _write(path: pathlib.Path, done: Prepared, arguments: argparse.Namespace) -> None:
    """All splits of a prepared set as one file."""
    read = functools.partial(load_split, done.name, data_dir=arguments.data_dir)
    npz.save_npz(path.expanduser(), {split: read(split) for split in done.splits})
