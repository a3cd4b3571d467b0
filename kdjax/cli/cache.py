"""python -m kdjax cache: writes teacher outputs for all crops that students train on.

  python -m kdjax cache --config=FILE[:ARG] --workdir=DIR [--config.a.b=value ...]
                        [--epochs=N] [--dtype=float16|float32] [--top_k=K]
                        [--features=pooled] [--verify[=ROWS]]

FILE is the config that the students will be trained with; they are given
--config.teacher.cache=DIR. Seed, data and crops, teacher and length count; batch size,
methods and students do not. The same command resumes, and adds epochs where --epochs
is larger. --verify writes nothing: it compares every file with its checksum and ROWS
random samples (default 256) with the teacher, and exits with 4 where they differ.
Prints one JSON line.
"""

import argparse

from kdjax import cli
from kdjax.caching.layout import DTYPES
from kdjax.checkpoints import StorageError
from kdjax.cli import arguments
from kdjax.contracts import InputError, json_text
from kdjax.distributed import collectives, devices, runtime
from kdjax.experiment import schema
from kdjax.experiment.build import check_single
from kdjax.runner import cache

ROWS = 256  # that --verify computes again
REQUESTED = ("epochs", "dtype", "top_k", "features")


def main(argv: list[str]) -> int:
    options, config = read(argv)
    batch_size = config["evaluation"]["batch_size"]
    request = {name: getattr(options, name) for name in REQUESTED}
    with runtime.joined(options) as processes:
        devices.configure(options.devices, batch_size, processes)
        if options.verify:
            rows = options.verify
            line = cache.verify_cache(config, options.workdir, rows, **request)
        else:
            line = cache.write_cache(config, options.workdir, **request)
        if collectives.is_primary():
            print(json_text(line))
    return 0 if line.get("sound", True) else StorageError.exit_code


def read(argv: list[str]) -> tuple[argparse.Namespace, dict]:
    """The options, and the config as plain dicts."""
    parser = cli.parser("cache", __doc__)
    arguments.add_config(parser, workdir="where the cache lives")
    parser.add_argument("--epochs", type=int, help="default: those of the config")
    parser.add_argument("--dtype", choices=DTYPES, help="default: float16")
    top_k = "how many logits of a sample; 0: all, the default up to "
    top_k += f"{cache.FULL_UP_TO} classes; above, {cache.TOP_K}"
    parser.add_argument("--top_k", type=int, help=top_k)
    parser.add_argument(
        "--features", choices=("pooled",), action="append", help="store them as well"
    )
    parser.add_argument("--verify", type=int, nargs="?", const=ROWS, metavar="ROWS")
    options, config = arguments.parse(parser, argv)
    for name in ("epochs", "verify"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; expected 1 or more.")
    config = schema.plain(config)
    check_single(config)
    return options, config
