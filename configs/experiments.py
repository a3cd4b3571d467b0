r"""Every study of the four papers on one data set, as sweeps that resume.

python -m configs.experiments fashion_mnist --runs=runs/experiments [--data_dir=DIR]

Runs `python -m kdjax sweep` and `analyse` for each study in turn, skips what is
finished, and then writes the section of configs/<set>/RESULTS.md that says which claims
of the papers held. `--list` only prints the commands. A step that stops with an error
stops all; the same command goes on from there.
"""

import argparse
import pathlib
import subprocess
import sys

from configs import claims

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

    together = "--students_per_program=12"
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data_set", help="a directory of configs")
    parser.add_argument("--runs", default="runs/experiments", type=pathlib.Path)
    parser.add_argument("--data_dir", default="", help="TFDS data")
    parser.add_argument("--list", action="store_true", help="only print the commands")
    options, rest = parser.parse_known_args()
    # Absolute, for configs refer to each other's runs from wherever they lie.
    runs = options.runs.expanduser().resolve()
    data = [f"--data_dir={options.data_dir}"] if options.data_dir else []
    for words in commands(options.data_set, runs, [*data, *rest]):
        _run(words, options.list)
    if options.list:
        return 0
    for words in analyses(runs, data):
        if not (pathlib.Path(words[2].split("=", 1)[1]) / "analysis.json").exists():
            _run(words, only_print=False)
    text = claims.report(runs, [options.data_set, *rest])
    path = pathlib.Path(__file__).parent / options.data_set / "RESULTS.md"
    claims.write_section(path, text)
    print(f"wrote {path}")
    return 0


def _run(words: list[str], only_print: bool) -> None:
    print("python -m kdjax", *words, flush=True)
    if only_print:
        return
    code = subprocess.run([sys.executable, "-m", "kdjax", *words]).returncode
    if code:
        # 42 is a stop with the state saved, and ours to pass on.
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
