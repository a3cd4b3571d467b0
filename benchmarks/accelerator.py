"""What launch/accelerator.sh measured, as one table in Markdown.

python -m benchmarks.accelerator facts                 # this machine, one JSON object
python -m benchmarks.accelerator table DIR [--publish=benchmarks/accelerator.md]

DIR has the answers of its stages: NAME.out with the lines of `kdjax bench --json`, and
NAME.json of `benchmarks.run`. The table is written to DIR/accelerator.md, and where an
accelerator was measured to the file of --publish too. It says what is missing.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys

PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch")
# Stages of the script that end in a line of the table -> what they are.
BENCH = {
    "wrn_float32": "CIFAR, float32",
    "resnet_bfloat16": "ImageNet, bfloat16",
    "wrn_bfloat16": "CIFAR, bfloat16",
    "grid_bfloat16": "CIFAR, bfloat16, students side by side",
    "resnet_streamed": "ImageNet, bfloat16, images sent from the host",
}
TORCH = {"torch": "CIFAR", "torch_resnet": "ImageNet"}
COLUMNS = (
    *("what", "pair", "activations", "batch", "mode", "students", "images/s"),
    *("lowest - highest", "images/s x students", "of the arithmetic roof"),
    *("of the byte roof", "first step, s"),
)
PEERS = ("what", "contestant", "activations", "images/s", "lowest - highest")
RATIOS = ("what", "images/s x students of", "against", "ratio", "lowest - highest")
LEGEND = """\
images/s: the median block's. Roofs: model FLOPs and modelled bytes
(kdjax/bench/roofline.py) against the data sheet's peaks; "-": not known."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("facts", "table"))
    parser.add_argument("directory", nargs="?", type=pathlib.Path)
    parser.add_argument("--publish", type=pathlib.Path)
    options = parser.parse_args(argv)
    if options.command == "facts":
        print(json.dumps(facts()))
        return 0
    if options.directory is None:
        parser.error("table: expected the directory of the script's answers.")
    text = page(options.directory)
    (options.directory / "accelerator.md").write_text(text)
    if options.publish and is_accelerator(options.directory):
        options.publish.write_text(text)
    print(text)
    return 0


def facts() -> dict:
    """The devices that JAX finds, and what computes around them."""
    import jax

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "driver": driver(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
    }


def driver() -> str:
    """Of NVIDIA's GPUs; "" elsewhere."""
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True)
    return (result.stdout.splitlines() or [""])[0].strip()


def is_accelerator(directory: pathlib.Path) -> bool:
    """By the newest facts."""
    found = lines(directory / "facts.out")
    return bool(found) and found[-1]["platform"] != "cpu"


def page(directory: pathlib.Path) -> str:
    """The whole file."""
    found = lines(directory / "facts.out")
    rows, peers, ratios, missing = [], [], [], []
    for stage, what in BENCH.items():
        latest = {(r["mode"], r["students"]): r for r in lines(_out(directory, stage))}
        rows += [cells(what, row) for row in latest.values()]
        missing += [] if latest else [stage]
    for stage, what in TORCH.items():
        path = directory / f"{stage}.json"
        if path.exists():
            measured = json.loads(path.read_text())
            peers += [peer(what, row) for row in measured["rows"]]
            ratios += [ratio(what, row) for row in measured["ratios"]]
        else:
            missing.append(stage)
    parts = ["# What one accelerator gave", "", introduction(found), ""]
    for columns, body in ((COLUMNS, rows), (PEERS, peers), (RATIOS, ratios)):
        parts += [*table(columns, body), ""] if body else []
    parts += [LEGEND]
    if missing:
        parts += ["", f"Not measured: {', '.join(missing)}."]
    return "\n".join(parts) + "\n"


def introduction(found: list[dict]) -> str:
    if not found:
        return "`make accelerator`; the device did not answer."
    last = found[-1]
    versions = ", ".join(f"{name} {v}" for name, v in last["versions"].items())
    driven = f", driver {last['driver']}" if last["driver"] else ""
    return (
        f"`make accelerator` on {last['devices']} x {last['device']}{driven}, "
        f"{last['cores']} cores; Python {last['python']}, {versions}."
    )


def cells(what: str, row: dict) -> list[str]:
    """Of a row of `kdjax bench --json`."""
    rate, flops = row["images_per_second"], row["flops_per_image"]
    low, high = row["images_per_second_low"], row["images_per_second_high"]
    return [
        what,
        row["pair"],
        max(flops, key=flops.get) if flops else "-",
        f"{row['batch_size']:,}",
        row["mode"],
        str(row["students"] or "-"),
        f"{rate:,.0f}",
        f"{low:,.0f} - {high:,.0f}",
        f"{row['student_images_per_second']:,.0f}" if row["students"] else "-",
        percent(row["flop_utilisation"]),
        percent(row["memory_utilisation"]),
        f"{row['compile_seconds']:.1f}",
    ]


def peer(what: str, row: dict) -> list[str]:
    """Of a contestant of `benchmarks.run`."""
    rate, name = row["images_per_second"], f"{row['name']} ({row['version']})"
    spread = f"{rate['low']:,.0f} - {rate['high']:,.0f}"
    return [what, name, row["dtype"], f"{rate['median']:,.0f}", spread]


def ratio(what: str, row: dict) -> list[str]:
    value = row["ratio"]
    spread = f"{value['low']:.2f} - {value['high']:.2f}"
    return [what, row["ours"], row["theirs"], f"{value['median']:.2f}", spread]


def table(columns: tuple[str, ...], body: list[list[str]]) -> list[str]:
    rows = [columns, ["---"] * len(columns), *body]
    return [f"| {' | '.join(row)} |" for row in rows]


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def lines(path: pathlib.Path) -> list[dict]:
    """Every JSON object that has a line of its own; a stage may have been cut off."""
    objects = []
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("{"):
            try:
                objects.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return objects


def _out(directory: pathlib.Path, stage: str) -> pathlib.Path:
    return directory / f"{stage}.out"


if __name__ == "__main__":
    sys.exit(main())
