"""python -m kdjax bench --input-only: how fast the streamed feed is, with no network.

  python -m kdjax bench --input-only [--pictures=400x350] [--count=512] [--size=224]
  python -m kdjax bench --input-only --data=NAME [--split=train] [--data_dir=DIR]
                        [--size=224]
  python -m kdjax bench --input-only --config=FILE[:ARG] [--config.a.b=value ...]
  each of them with     [--batch_size=128] [--threads=1,2] [--place] [--batches=N]
                        [--repeats=5] [--json]

Tickets are taken as training takes them: random resized crops, decoded by threads, in
the order of a seed. The pictures are those of a prepared set, by name or by config, or,
where neither is given, JPEGs that are drawn into a directory of their own and deleted
afterwards (WIDTHxHEIGHT, quality 90; 400x350 are about 48 kB each, as photographs of
that size are). Files that are read again and again come from memory, not from a disk.

Each number of --threads is measured; by default it is the config's, or one a core. With
--place, tickets are put on the devices, too. images/s is by wall clock; images/s of CPU
time is by what the cores have computed, which other programs on the machine move less.

Exit codes: 0 finished, 2 bad input, 130 interrupted.
"""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import jax

from kdjax import cli
from kdjax.bench import feed as timing
from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.loaders.loader import is_streamed, make_loader
from kdjax.data.prefetch import cores
from kdjax.data.split import Split
from kdjax.data.synthetic import NAME, prepare_synthetic
from kdjax.distributed import devices
from kdjax.experiment import schema
from kdjax.experiment.data import load_data
from kdjax.experiment.overrides import load_config, split_overrides
from kdjax.reporting.speeds import print_feed_speeds
from kdjax.training import sharding

FLAGS = ("--input-only", "--input_only")
PICTURES, COUNT, SIZE, BATCH = "400x350", 512, 224, 128
INTERRUPTED = 130


class Request(NamedTuple):
    """What is to be measured."""

    split: Split
    seed: int
    batch_size: int
    threads: list[int]
    place: bool
    batches: int
    repeats: int
    json: bool


def main(argv: list[str]) -> int:
    rest, overrides = split_overrides(argv)
    options = _parser().parse_args(rest)
    _check(options, overrides)
    config = _config(options, overrides)
    batch_size = options.batch_size or (config["batch_size"] if config else BATCH)
    devices.configure_cpu(options.devices, batch_size)
    devices.check_batch(batch_size, "--batch_size")
    with _split(options, config) as split:
        if not is_streamed(split):
            raise InputError(
                f"--input-only: {split.identity['name']} is resident: its images are "
                "on the devices. Expected config.data.feed=streamed, or "
                "`python -m kdjax bench --modes=input` for resident ones."
            )
        request = Request(
            split,
            config["seed"] if config else 0,
            batch_size,
            _threads(options.threads, split.image.threads),
            *(options.place, options.batches, options.repeats, options.json),
        )
        return run(request)


def run(request: Request) -> int:
    """Measures one number of threads after another."""
    mesh, found, code = sharding.make_mesh(), [], 0
    set_name = request.split.identity["name"]
    told = timing.about(set_name, request.split.image) | {"placed": request.place}
    for threads in request.threads:
        print(f"{threads} thread(s): decoding", file=sys.stderr)
        told |= {"load_average": timing.load_average()}
        try:
            found.append(told | _measured(request, threads, mesh))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            code = INTERRUPTED
            break
        if request.json:
            print(json.dumps(found[-1]), flush=True)
    if found and not request.json:
        print_feed_speeds(found)
    return code


def _measured(request: Request, threads: int, mesh) -> dict:
    how = {"seed": request.seed, "batch_size": request.batch_size, "threads": threads}
    feed = make_loader(request.split, mesh, **how)

    def take(step: int) -> None:
        batch_spec = feed.batch_spec(step)
        if request.place:
            jax.block_until_ready(
                sharding.place_rows(batch_spec, mesh, parts=feed.parts)
            )

    with contextlib.closing(feed):
        timed = timing.measure(
            take,
            warm=2 * feed.batches_ahead(),
            repeats=request.repeats,
            batches=request.batches,
        )
        return timing.row(request.split.image, feed, timed, cores())


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("bench --input-only", __doc__)
    keys = "\n".join(f"  {key:<28}{text}" for key, text in timing.KEYS.items())
    parser.epilog = f"What a line of --json holds:\n{keys}"
    parser.add_argument(*FLAGS, action="store_true", required=True)
    parser.add_argument("--config", help="Python file with get_config")
    parser.add_argument("--data", help="name of a prepared set")
    parser.add_argument("--split", default="train", help="of --data")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--pictures", help=f"WIDTHxHEIGHT, default {PICTURES}")
    parser.add_argument("--count", type=int, default=COUNT, help="of drawn pictures")
    parser.add_argument("--size", type=int, help=f"of a crop; default {SIZE}")
    parser.add_argument("--batch_size", type=int, help=f"default {BATCH}")
    parser.add_argument("--threads", help="numbers, with commas; default: one a core")
    parser.add_argument("--place", action="store_true", help="tickets on the devices")
    parser.add_argument("--batches", type=int, default=0, help="a block; 0: for 2 s")
    parser.add_argument("--repeats", type=int, default=5, help="blocks, default 5")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def _check(options: argparse.Namespace, overrides: list[str]) -> None:
    given = [n for n in ("config", "data", "pictures") if getattr(options, n)]
    if len(given) > 1:
        both = " and ".join(f"--{name}" for name in given)
        raise InputError(f"{both} each name pictures; expected one of them.")
    if overrides and not options.config:
        raise InputError(f"--config.{overrides[0]}: there is no --config to change.")
    if options.size and options.config:
        raise InputError("--size: the config says it; set --config.data.crops.size.")
    for name, low in (("count", 1), ("repeats", 1), ("batches", 0)):
        if getattr(options, name) < low:
            value = getattr(options, name)
            raise InputError(f"--{name} is {value}; expected {low} or more.")
    for name in ("size", "batch_size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; expected 1 or more.")


def _threads(text: str | None, usual: int) -> list[int]:
    if text is None:
        return [usual]
    if not all(part.isdigit() and int(part) for part in text.split(",")):
        raise InputError(
            f"--threads is {text!r}; expected whole numbers above 0, such as 1,2."
        )
    return [int(part) for part in text.split(",")]


def _config(options: argparse.Namespace, overrides: list[str]) -> dict | None:
    if not options.config:
        return None
    config = schema.plain(load_config(options.config, overrides))
    schema.check_keys(config)
    if options.data_dir:
        config["data"]["data_dir"] = options.data_dir
    schema.number(config, "seed", 0, integer=True)
    schema.number(config, "batch_size", 1, integer=True)
    return config


@contextlib.contextmanager
def _split(options: argparse.Namespace, config: dict | None) -> Iterator[Split]:
    """The pictures; those that were drawn are gone afterwards."""
    if config:
        yield load_data(config["data"]).train
        return
    size = options.size or SIZE
    crops = dataclasses.replace(Geometry(), size=size, short_side=max(256, size))
    if options.data:
        where = {"data_dir": options.data_dir, "crops": crops, "skip_at_most": 100}
        yield load_split(options.data, options.split, **where)
        return
    width, height = _sides(options.pictures or PICTURES)
    with tempfile.TemporaryDirectory(prefix="kdjax-") as scratch:
        told = f"drawing {options.count} JPEGs of {width}x{height} into {scratch}"
        print(told, file=sys.stderr)
        where = pathlib.Path(scratch)
        prepare_synthetic(where, height=height, width=width, count=options.count)
        yield load_split(NAME, "train", data_dir=where, crops=crops)


def _sides(text: str) -> tuple[int, int]:
    """(width, height)."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not found or min(map(int, found.groups())) < 2:
        raise InputError(
            f"--pictures is {text!r}; expected WIDTHxHEIGHT, such as {PICTURES}."
        )
    return int(found[1]), int(found[2])
