"""kdjax and PyTorch by turns on one machine: images/s and ratios.

make bench
python -m benchmarks.run --json=bench.json     # in an environment with both
python -m benchmarks.run --quick               # tiny networks, two steps: a test

Every contestant is a process that stays warm and computes only while a block of steps
is requested, so no two compute at a time. The order turns round in every round, and
ratios are taken within a round. See benchmarks/torch_loop.py for what PyTorch does.
Where PyTorch finds a GPU, JAX has to find it too; --platform=cpu keeps both off it.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import platform
import statistics
import sys
import time

from benchmarks import flags, worker

KDJAX, TORCH = "benchmarks.kdjax_loop", "benchmarks.torch_loop"
INTERRUPTED = 130
SETTLE = 1.0  # seconds in which loaders fill their queues and idle threads fall asleep


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        flags.networks(options.pair)
        return contest(options)
    except (ValueError, worker.Lost) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add(parser)
    parser.add_argument("--students", type=int, default=8, help="of kdjax's grid")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a block")
    parser.add_argument(
        "--steps", type=int, default=0, help="of a block, in place of it"
    )
    parser.add_argument("--dtype", help="of kdjax; default bfloat16, on CPU float32")
    parser.add_argument("--workers", type=int, help="of PyTorch's DataLoader")
    parser.add_argument("--platform", choices=("cpu", "cuda"), help="for both")
    parser.add_argument("--only", default="", help="names of contestants, with commas")
    parser.add_argument("--json", type=pathlib.Path, help="where to write everything")
    parser.add_argument("--quick", action="store_true", help="shrunken: for a test")
    options = parser.parse_args(argv)
    if options.quick:
        small = {"pair": "wrn_16_1:wrn_16_1", "batch_size": 8, "image_size": 8}
        small |= {"students": 2, "rounds": 2, "steps": 2, "workers": 1}
        vars(options).update(small)
    return options


def contestants(options: argparse.Namespace) -> dict[str, tuple[str, list[str]]]:
    """Name -> (module, flags)."""
    ours = [f"--dtype={options.dtype}"] if options.dtype else []
    theirs = [f"--workers={options.workers}"] if options.workers is not None else []
    theirs += [f"--platform={options.platform}"] if options.platform else []
    theirs += ["--no-compile", "--images=64"] if options.quick else []
    grid = f"--students={options.students}"
    entries = {
        "kdjax live": (KDJAX, ["--mode=live", *ours]),
        "kdjax cached": (KDJAX, ["--mode=cached", *ours]),
        "kdjax streamed": (KDJAX, ["--mode=streamed", *ours]),
        "kdjax live grid": (KDJAX, ["--mode=live", grid, *ours]),
        "kdjax cached grid": (KDJAX, ["--mode=cached", grid, *ours]),
        "torch plain": (TORCH, ["--variant=plain", *theirs]),
        "torch best": (TORCH, ["--variant=best", *theirs]),
        "torch amp": (TORCH, ["--variant=amp", *theirs]),
    }
    names = options.only.split(",") if options.only else list(entries)
    for name in names:
        if name not in entries:
            raise ValueError(f"--only: {name!r} is none of {', '.join(entries)}.")
    return {name: entries[name] for name in names}


def contest(options: argparse.Namespace) -> int:
    """Starts all, runs the rounds, prints the result, ends all."""
    log(f"load average {os.getloadavg()[0]:.2f} on {flags.cores()} cores at the start")
    workers, blocks, code = {}, {}, 0
    load = os.getloadavg()
    try:
        for name, (module, more) in contestants(options).items():
            start(workers, name, module, [*flags.passed_on(options), *more], options)
        same_platform(workers)
        steps = {name: steps_of(w, options) for name, w in workers.items()}
        blocks = {name: [] for name in workers}
        play(workers, steps, blocks, options)
    except KeyboardInterrupt:
        log("interrupted; whole rounds count")
        code = INTERRUPTED
    finally:
        for contestant in workers.values():
            contestant.close()
    rounds = min(map(len, blocks.values()), default=0)
    if rounds:
        rates = {name: of_all[:rounds] for name, of_all in blocks.items()}
        measured = result(options, workers, steps, rates, load)
        print(table(measured))
        if options.json:
            options.json.write_text(json.dumps(measured, indent=2) + "\n")
    return code


def start(workers: dict, name: str, module: str, more: list[str], options) -> None:
    """Starts one contestant, unless this machine cannot run it."""
    if module == TORCH and importlib.util.find_spec("torch") is None:
        return log(f"{name} is left out: PyTorch is not installed")
    env = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # PyTorch needs memory as well
    if options.platform:
        env["JAX_PLATFORMS"] = options.platform
    log(f"starting {name}")
    try:
        workers[name] = worker.Worker(name, module, more, env)
    except worker.Unavailable as error:
        return log(f"{name} is left out: {error}")
    for note in workers[name].description["notes"]:
        log(f"{name}: {note}")


def same_platform(workers: dict[str, worker.Worker]) -> None:
    """Raises ValueError where some compute on a GPU and others do not."""
    platforms = {w.description["platform"] for w in workers.values()}
    if len(platforms) > 1:
        raise ValueError(
            f"the contestants compute on {' and '.join(sorted(platforms))}; expected "
            "one: install jax for the GPU, or give --platform=cpu."
        )


def steps_of(contestant: worker.Worker, options) -> int:
    """Steps of a block, by the pace of a short one; whole dispatches."""
    dispatch = contestant.description.get("dispatch", 1)

    def whole(steps: float) -> int:
        return math.ceil(steps / dispatch) * dispatch

    if options.steps:
        return whole(options.steps)
    pace = contestant.seconds(whole(3)) / whole(3)
    return whole(max(3, round(options.seconds / pace)))


def play(workers: dict, steps: dict, blocks: dict, options) -> None:
    """Adds one rate, images/s, a contestant and round to `blocks`."""
    for number in range(options.rounds):
        names = list(workers)
        for name in names if number % 2 == 0 else reversed(names):
            time.sleep(0.0 if options.quick else SETTLE)
            seconds = workers[name].seconds(steps[name])
            rate = steps[name] * options.batch_size / seconds
            blocks[name].append(rate)
            log(f"round {number + 1}/{options.rounds}  {name}: {rate:,.0f} images/s")


def result(options, workers: dict, steps: dict, rates: dict, load) -> dict:
    """Everything that was measured, for JSON."""
    rows = [
        workers[name].description
        | {"name": name, "steps": steps[name], "images_per_second": summary(rounds)}
        | {"rounds": rounds}
        for name, rounds in rates.items()
    ]
    return {
        "command": [sys.executable, "-m", "benchmarks.run", *sys.argv[1:]],
        "options": {k: str(v) for k, v in vars(options).items() if v is not None},
        "processor": processor(),
        "cores": flags.cores(),
        "python": platform.python_version(),
        "load_average": {"start": load, "end": os.getloadavg()},
        "rows": rows,
        "ratios": ratios(rows),
    }


def ratios(rows: list[dict]) -> list[dict]:
    """Ours over theirs, in images/s times students, within each round."""
    ours = [row for row in rows if row["name"].startswith("kdjax")]
    theirs = [row for row in rows if row["name"].startswith("torch")]
    return [
        {
            "ours": a["name"],
            "theirs": b["name"],
            "ratio": summary(
                a["students"] * x / y
                for x, y in zip(a["rounds"], b["rounds"], strict=True)
            ),
        }
        for a in ours
        for b in theirs
    ]


def summary(values) -> dict[str, float]:
    values = list(values)
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
    }


def processor() -> str:
    """The processor's name, where the system names it."""
    info = pathlib.Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(measured: dict) -> str:
    """For people, in Markdown."""
    options, load = measured["options"], measured["load_average"]
    lines = [
        f"{options['pair']}, batch {options['batch_size']}, "
        f"{options['image_size']}x{options['image_size']}, {measured['processor']}, "
        f"{measured['cores']} cores, Python {measured['python']}; load average "
        f"{load['start'][0]:.2f} at the start",
        "",
        "| contestant | device | dtype | students | images/s | lowest - highest "
        "| x students | first step, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        rate = row["images_per_second"]
        lines.append(
            f"| {row['name']} ({row['version']}) | {row['device']} | {row['dtype']} | "
            f"{row['students']} | {rate['median']:,.0f} | {rate['low']:,.0f} - "
            f"{rate['high']:,.0f} | {row['students'] * rate['median']:,.0f} | "
            f"{row['first_seconds']:.1f} |"
        )
    lines += ["", "| images/s x students | against | ratio | lowest - highest |"]
    lines += ["|---|---|---|---|"]
    for row in measured["ratios"]:
        ratio = row["ratio"]
        lines.append(
            f"| {row['ours']} | {row['theirs']} | {ratio['median']:.2f} | "
            f"{ratio['low']:.2f} - {ratio['high']:.2f} |"
        )
    return "\n".join(lines)


def log(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
