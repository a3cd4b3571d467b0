"""kdjax's streaming loader as a contestant: batches, as a training takes them.

python -m benchmarks.feed_kdjax --data_dir=DIR    # then {"steps": 20}, Enter
"""

import argparse
import functools
import importlib.metadata

from benchmarks import worker
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.loaders import loader
from kdjax.data.synthetic import NAME
from kdjax.training import sharding


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add(parser)
    worker.serve(functools.partial(start, parser.parse_args(argv)))


def add(parser: argparse.ArgumentParser) -> None:
    """The flags of every contestant."""
    parser.add_argument("--data_dir", required=True, help="of the synthetic set")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)


def start(options):
    geometry = Geometry(size=options.size, short_side=max(256, options.size))
    split = load_split(NAME, "train", data_dir=options.data_dir, crops=geometry)
    how = {"seed": 0, "batch_size": options.batch_size, "threads": options.threads}
    feed, done = loader.make_loader(split, sharding.make_mesh(), **how), 0

    def run(steps):
        nonlocal done
        # The one that is not timed: what was decoded while others had their turn.
        steps = feed.batches_ahead() + 2 if steps == 1 else steps
        for _ in range(steps):
            batch_spec = feed.batch_spec(done)
            assert batch_spec["image"].shape[:2] == (options.batch_size, options.size)
            done += 1

    packages = ("grain", "simplejpeg", "opencv-python-headless")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in packages)
    return {"version": ", ".join(versions)}, run


if __name__ == "__main__":
    main()
