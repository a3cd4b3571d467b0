"""python -m kdjax bench --input-only: how fast the streaming loader is, by itself.

  python -m kdjax bench --input-only [--images=400x350] [--count=512] [--size=224]
  python -m kdjax bench --input-only --data=NAME [--split=train] [--data_dir=DIR]
                        [--size=224]
  python -m kdjax bench --input-only --config=FILE[:ARG] [--config.a.b=value ...]
  each of them with     [--batch_size=128] [--threads=1,2] [--place] [--batches=N]
                        [--repeats=5] [--json]

Batches are taken as training takes them: random resized crops, decoded by threads, in
the order of a seed. The images are those of a prepared set, by name or by config, or,
where neither is given, synthetic JPEGs in a directory of their own that is deleted
afterwards (WIDTHxHEIGHT, quality 90; 400x350 are about 48 kB each, as photographs of
that size are). Files that are read again and again come from memory, not from a disk.

Each number of --threads is measured; by default it is the config's, or one a core. With
--place, batches are put on the devices, too. images/s is by wall clock; images/s of CPU
time is by what the cores have computed, which other programs on the machine move less.

Exit codes: 0 finished, 2 bad input, 130 interrupted.
"""

import argparse
import contextlib
import dataclasses
import functools
import re
import sys

from kdjax import cli
from kdjax.bench import loader_speed
from kdjax.bench.rows import measure_each
from kdjax.cli.bench import INPUT_ONLY, at_least, whole_numbers
from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.loaders.loader import is_streamed
from kdjax.data.split import Split
from kdjax.distributed import devices
from kdjax.experiment import schema
from kdjax.experiment.data import load_data
from kdjax.experiment.overrides import load_config, split_overrides
from kdjax.reporting.speeds import print_feed_speeds
from kdjax.training import sharding

IMAGES, COUNT, SIZE, BATCH = "400x350", 512, 224, 128


def main(argv: list[str]) -> int:
    rest, overrides = split_overrides(argv)
    options = _parser().parse_args(rest)
    _check(options, overrides)
    config = None
    if options.config:
        config = schema.plain(load_config(options.config, overrides))
        if options.data_dir:
            config["data"]["data_dir"] = options.data_dir
    batch_size = options.batch_size or (config["batch_size"] if config else BATCH)
    devices.configure(options.devices, batch_size)
    devices.check_batch(batch_size, "--batch_size")
    with _split(options, config) as split:
        if not is_streamed(split):
            raise InputError(
                f"--input-only: {split.identity['name']} is resident: its images are "
                "on the devices. Expected config.data.feed=streamed, or "
                "`python -m kdjax bench --modes=input` for resident ones."
            )
        measure = functools.partial(
            loader_speed.measure_split,
            split,
            sharding.make_mesh(),
            seed=config["seed"] if config else 0,
            batch_size=batch_size,
            place=options.place,
            batches=options.batches,
            repeats=options.repeats,
        )
        threads = options.threads or str(split.image.threads)
        cases = []
        for number in whole_numbers("threads", threads, "1,2"):
            one = functools.partial(measure, threads=number)
            cases.append((f"{number} thread(s): decoding", one))
        return measure_each(cases, print_feed_speeds, options.json)


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("bench --input-only", __doc__)
    keys = "\n".join(f"  {key:<28}{text}" for key, text in loader_speed.KEYS.items())
    parser.epilog = f"What a line of --json holds:\n{keys}"
    parser.add_argument(*sorted(INPUT_ONLY), action="store_true", required=True)
    parser.add_argument("--config", help="Python file with get_config")
    parser.add_argument("--data", help="name of a prepared set")
    parser.add_argument("--split", default="train", help="of --data")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--images", help=f"WIDTHxHEIGHT, default {IMAGES}")
    parser.add_argument("--pictures", dest="images", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=COUNT, help="of synthetic images")
    parser.add_argument("--size", type=int, help=f"of a crop; default {SIZE}")
    parser.add_argument("--batch_size", type=int, help=f"default {BATCH}")
    parser.add_argument("--threads", help="numbers, with commas; default: one a core")
    parser.add_argument("--place", action="store_true", help="batches on the devices")
    parser.add_argument("--batches", type=int, default=0, help="a block; 0: for 2 s")
    parser.add_argument("--repeats", type=int, default=5, help="blocks, default 5")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def _check(options: argparse.Namespace, overrides: list[str]) -> None:
    sources = [n for n in ("config", "data", "images") if getattr(options, n)]
    if len(sources) > 1:
        both = " and ".join(f"--{name}" for name in sources)
        raise InputError(f"{both} each name images; expected one of them.")
    if overrides and not options.config:
        raise InputError(f"--config.{overrides[0]}: there is no --config to change.")
    if options.size and options.config:
        raise InputError("--size is in the config; set --config.data.crops.size.")
    for name in ("count", "repeats", "size", "batch_size"):
        if getattr(options, name) is not None:
            at_least(options, name, 1)
    at_least(options, "batches", 0)
    if options.threads is not None:
        whole_numbers("threads", options.threads, "1,2")


def _split(
    options: argparse.Namespace, config: dict | None
) -> contextlib.AbstractContextManager[Split]:
    if config:
        return contextlib.nullcontext(load_data(config["data"]).train)
    size = options.size or SIZE
    crops = dataclasses.replace(Geometry(), size=size, short_side=max(256, size))
    if options.data:
        where = {"data_dir": options.data_dir, "crops": crops, "skip_at_most": 100}
        return contextlib.nullcontext(load_split(options.data, options.split, **where))
    text = options.images or IMAGES
    sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not sides or min(map(int, sides.groups())) < 2:
        raise InputError(
            f"--images is {text!r}; expected WIDTHxHEIGHT, such as {IMAGES}."
        )
    print(f"{options.count} synthetic JPEGs of {text} are written", file=sys.stderr)
    width, height = map(int, sides.groups())
    return loader_speed.synthetic_split(width, height, options.count, crops)
