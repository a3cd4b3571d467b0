"""kdjax's streaming loader and tf.data by turns on the same JPEGs: images/s and ratios.

pip install tensorflow-cpu    # beside requirements-test.txt; nothing else needs it
python -m benchmarks.feed_run --json=feed.json

Every contestant is a process that stays warm and decodes only while batches
are requested. Two ratios are taken within each round: of images/s by wall clock, and of
images by CPU second, which other programs on the machine move less.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
import time

from benchmarks import flags, worker
from benchmarks.run import INTERRUPTED, SETTLE, log, summary
from kdjax.data.synthetic import prepare_synthetic
from kdjax.distributed.devices import processor

OURS = "kdjax"
KDJAX, TFDATA = "benchmarks.feed_kdjax", "benchmarks.feed_tfdata"
RATES = ("images_per_second", "images_per_cpu_second")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    with tempfile.TemporaryDirectory(prefix="kdjax-") as scratch:
        log(f"making {options.count} JPEGs of {options.width}x{options.height}")
        sides = {"height": options.height, "width": options.width}
        prepare_synthetic(pathlib.Path(scratch), count=options.count, **sides)
        try:
            return contest(options, scratch)
        except (ValueError, worker.Lost) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=400, help="of a JPEG")
    parser.add_argument("--height", type=int, default=350)
    parser.add_argument("--count", type=int, default=512, help="JPEGs")
    parser.add_argument("--size", type=int, default=224, help="of a crop")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=flags.cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=30, help="of a block")
    parser.add_argument("--only", default="", help="names of contestants, with commas")
    parser.add_argument("--json", type=pathlib.Path, help="where to write everything")
    return parser.parse_args(argv)


def contestants(options: argparse.Namespace) -> dict[str, tuple[str, list[str]]]:
    """Name -> (module, flags)."""
    accurate = "--dct=INTEGER_ACCURATE"
    entries = {
        OURS: (KDJAX, []),
        "tf.data": (TFDATA, []),
        "tf.data AUTOTUNE": (TFDATA, ["--autotune"]),
        "tf.data exact": (TFDATA, [accurate]),
        "tf.data antialias": (TFDATA, [accurate, "--resize=antialias"]),
        "tf.data area": (TFDATA, [accurate, "--resize=area"]),
    }
    names = options.only.split(",") if options.only else list(entries)
    for name in names:
        if name not in entries:
            raise ValueError(f"--only: {name!r} is none of {', '.join(entries)}.")
    return {name: entries[name] for name in names}


def contest(options: argparse.Namespace, scratch: str) -> int:
    """Starts all, runs the rounds, prints the result, ends all."""
    load, workers, code = os.getloadavg(), {}, 0
    log(f"load average {load[0]:.2f} on {flags.cores()} cores at the start")
    names = ("size", "batch_size", "threads")
    same = [f"--{name}={getattr(options, name)}" for name in names]
    blocks: dict[str, list] = {}
    try:
        for name, (module, more) in contestants(options).items():
            log(f"starting {name}")
            how = [module, [f"--data_dir={scratch}", *same, *more]]
            try:
                workers[name] = worker.Worker(name, *how, {"JAX_PLATFORMS": "cpu"})
            except worker.Unavailable as error:
                log(f"{name} is left out: {error}")
        blocks |= {name: [] for name in workers}
        play(workers, blocks, options)
    except KeyboardInterrupt:
        log("interrupted; whole rounds count")
        code = INTERRUPTED
    finally:
        for contestant in workers.values():
            contestant.close()
    rounds = min(map(len, blocks.values()), default=0)
    if rounds:
        measured = result(options, workers, blocks, rounds, load)
        print(table(measured))
        if options.json:
            options.json.write_text(json.dumps(measured, indent=2) + "\n")
    return code


def play(workers: dict, blocks: dict, options) -> None:
    """Adds a block a contestant and round; the order turns round in every round."""
    for number in range(options.rounds):
        names = list(workers)
        for name in names if number % 2 == 0 else reversed(names):
            time.sleep(SETTLE)
            block = workers[name].block(options.batches)
            images = options.batches * options.batch_size
            rates = images / block["seconds"], images / block["cpu_seconds"]
            blocks[name].append(dict(zip(RATES, rates, strict=True)))
            log(
                f"round {number + 1}/{options.rounds}  {name}: {rates[0]:,.0f} "
                f"images/s, {rates[1]:,.0f} a CPU second"
            )


def result(options, workers: dict, blocks: dict, rounds: int, load) -> dict:
    """Everything that was measured, for JSON."""
    rows = [
        {"name": name, "version": workers[name].description["version"]}
        | {rate: summary(block[rate] for block in rates[:rounds]) for rate in RATES}
        | {"rounds": rates[:rounds]}
        for name, rates in blocks.items()
    ]
    ours = blocks.get(OURS, [])[:rounds]
    ratios = [
        {"against": name}
        | {
            rate: summary(a[rate] / b[rate] for a, b in zip(ours, rates, strict=False))
            for rate in RATES
        }
        for name, rates in blocks.items()
        if ours and name != OURS
    ]
    return {
        "options": {k: str(v) for k, v in vars(options).items() if v is not None},
        "processor": processor(),
        "cores": flags.cores(),
        "python": platform.python_version(),
        "load_average": {"start": load, "end": os.getloadavg()},
        "rows": rows,
        "ratios": ratios,
    }


def table(measured: dict) -> str:
    """For people, in Markdown."""
    options, load = measured["options"], measured["load_average"]
    lines = [
        f"JPEGs of {options['width']}x{options['height']}, crops of {options['size']}, "
        f"batch {options['batch_size']}, {options['threads']} threads; "
        f"{measured['processor']}, {measured['cores']} cores, Python "
        f"{measured['python']}; load average {load['start'][0]:.1f} to "
        f"{load['end'][0]:.1f}",
        "",
        "| contestant | images/s | images/s of CPU time |",
        "|---|---|---|",
    ]
    for row in measured["rows"]:
        cells = " | ".join(_cell(row[rate], "{:,.0f}") for rate in RATES)
        lines.append(f"| {row['name']} ({row['version']}) | {cells} |")
    lines += [
        "",
        "| kdjax against | images/s | images/s of CPU time |",
        "|---|---|---|",
    ]
    for row in measured["ratios"]:
        cells = " | ".join(_cell(row[rate], "{:.2f}") for rate in RATES)
        lines.append(f"| {row['against']} | {cells} |")
    return "\n".join(lines)


def _cell(values: dict[str, float], form: str) -> str:
    median, low, high = (form.format(values[key]) for key in ("median", "low", "high"))
    return f"{median} ({low} - {high})"


if __name__ == "__main__":
    sys.exit(main())
