r"""Every study of the four papers on one data set, as sweeps that resume.

python -m kdjax.reproduce.experiments fashion_mnist --runs=runs/experiments [--data_dir=DIR]

Runs `python -m kdjax sweep` and `analyse` for each study in turn, skips what is
finished, and then writes the section of configs/<set>/RESULTS.md that says which claims
of the papers held. `--list` only prints the commands. A step that stops with an error
stops all; the same command goes on from there.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys

from kdjax import paths
from kdjax.reproduce import claims

HERE = pathlib.Path(__file__).parent
SEEDS = "--grid.seed=0,1,2"


def commands(data_set: str, runs: pathlib.Path, rest: list[str]) -> list[list[str]]:
    """The commands in order; each is `python -m kdjax` and these words."""
    configs = f"configs/{data_set}"
    rate = ("--config.data.noise.name=symmetric", "--config.data.noise.rate=0.4")
    at_end = "--config.evaluation.every_epochs=0"

    def sweep(config: str, name: str, *words: str) -> list[str]:
        start = ["sweep", f"--config={configs}/{config}", f"--workdir={runs / name}"]
        return [*start, at_end, *words, *rest]

    def taught_by(name: str) -> str:
        return f"--config.teacher.workdir={runs / name}/seed-{{seed}}"

    together = "--students_per_program=16"
    return [
        sweep("teacher.py", "teachers", SEEDS),
        sweep("temperatures.py", "temperatures", taught_by("teachers"), together),
        sweep("detectors.py", "detectors"),
        sweep("teacher.py", "noisy_teachers", SEEDS, *rate),
        sweep("noisy_labels.py", "noisy_labels", taught_by("noisy_teachers"), together),
        sweep("baseline.py", "baseline", SEEDS),
        sweep(
            f"corrections.py:{runs / 'baseline'}",
            "corrections",
            taught_by("teachers"),
            together,
        ),
    ]


def analyses(runs: pathlib.Path, data: list[str]) -> list[list[str]]:
    """One for each program of the temperatures, by seed: distances of the logits."""
    programs = sorted((runs / "temperatures" / "programs").glob("*/summary.json"))
    return [
        [
            *("analyse", str(path.parent)),
            f"--output={runs / 'analysis' / path.parent.name}",
            *data,
        ]
        for path in programs
    ]


def main(argv: list[str] | None = None) -> int:
    options, rest = _parser().parse_known_args(argv)
    # Absolute, for configs refer to each other's runs from wherever they lie.
    runs = paths.local(options.runs, "--runs").resolve()
    data = [f"--data_dir={options.data_dir}"] if options.data_dir else []
    result = HERE / options.data_set / "RESULTS.md"
    sweeps = commands(options.data_set, runs, [*data, *rest])
    if options.list:
        print("\n".join([*map(_typed, sweeps), *_afterwards(runs, data, result)]))
        return 0
    for words in sweeps:
        _run(words)
    for words in analyses(runs, data):
        if not (pathlib.Path(words[2].split("=", 1)[1]) / "analysis.json").exists():
            _run(words)
    claims.write_section(result, claims.report(runs, [options.data_set, *rest]))
    print(f"wrote {result}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kdjax.reproduce.experiments",
        usage="%(prog)s DATA_SET [--runs DIR] [--data_dir DIR] [--list] [SWEEP ...]",
        description=__doc__.split("\n", 1)[0] + " The same command goes on where it "
        "was stopped, and at the end writes configs/DATA_SET/RESULTS.md.",
        epilog="SWEEP: all other options go to every sweep, such as --devices=2 or "
        "--config.total_epochs=4. Exit codes are those of python -m kdjax: 42 is a "
        "stop with the state saved.",
        allow_abbrev=False,
    )
    known = sorted(path.parent.name for path in HERE.glob("*/temperatures.py"))
    parser.add_argument(
        "data_set",
        metavar="DATA_SET",
        choices=known,
        help=f"{' or '.join(known)}; all but fashion_mnist, which comes along, are "
        "made by python -m kdjax prepare",
    )
    parser.add_argument(
        "--runs",
        default="runs/experiments",
        metavar="DIR",
        help="where all runs live (default: %(default)s)",
    )
    parser.add_argument(
        "--data_dir",
        default="",
        metavar="DIR",
        help="TFDS data (default: $TFDS_DATA_DIR, else ~/tensorflow_datasets)",
    )
    parser.add_argument(
        "--list", action="store_true", help="only print the commands, in order"
    )
    return parser


def _typed(words: list[str]) -> str:
    """The command as a shell takes it."""
    return shlex.join(["python", "-m", "kdjax", *words])


def _afterwards(runs: pathlib.Path, data: list[str], result: pathlib.Path) -> list[str]:
    """What follows the sweeps, in a shell's comments: it depends on what they wrote."""
    words = ["analyse", "DIR/NAME", f"--output={runs / 'analysis' / 'NAME'}", *data]
    return [
        f"# then, with DIR={runs / 'temperatures' / 'programs'}, for each NAME in it:",
        f"# {_typed(words)}",
        f"# and then {result} says which claims held",
    ]


def _run(words: list[str]) -> None:
    print(_typed(words), flush=True)
    code = subprocess.run([sys.executable, "-m", "kdjax", *words]).returncode
    if code:
        # 42 is a stop with the state saved, and ours to pass on.
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
