"""Every study of the four papers on one data set, as sweeps that resume.

Each command is `kdjax sweep` or `kdjax analyse`, in a process of its own, and does
nothing where it is finished; an error in one stops all.
"""

import pathlib
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator

from kdjax import signals
from kdjax.reporting.console import say
from kdjax.reproduce import claims, estimates, pages, studies

DATA_SETS = {"fashion_mnist": "fashion_mnist", "cifar100_claims": "cifar100"}
SEEDS = "--grid.seed=0,1,2"
NOISE_RATES = (0.2, 0.4, 0.6)  # of the detectors' sweep
POLL = 0.1  # seconds; far below `signals.REPEAT`
STOPPED = {128 + number for number in signals.SIGNALS}  # before there was a state


def run(study: str, runs: pathlib.Path, data: list[str], words: list[str]) -> None:
    """Runs what is not finished below `runs`, which is absolute; writes the page.

    `data` are options of every command, `words` further ones of every sweep.
    """
    say("\n".join(expected(study, words)), sys.stderr)
    for command in commands(study, runs, [*data, *words]):
        _call(command)
    for command in analyses(runs, data):
        _call(command)
    report(study, runs, words)


def report(study: str, runs: pathlib.Path, words: list[str]) -> None:
    """Writes the page from the finished sweeps."""
    path = pages.configs(DATA_SETS[study]) / "RESULTS.md"
    pages.write_section(path, claims.report(runs, [study, *words]), "experiments")
    say(f"wrote {path}")


def plan(study: str, runs: pathlib.Path, data: list[str], words: list[str]) -> str:
    """The commands as a shell takes them; what depends on their output is a comment."""
    page = pages.configs(DATA_SETS[study]) / "RESULTS.md"
    analyse = ["analyse", "DIR/NAME", f"--output={runs / 'analysis' / 'NAME'}"]
    lines = [
        *map(_typed, commands(study, runs, [*data, *words])),
        f"# then, with DIR={runs}/temperatures/programs, for each NAME in it:",
        f"# {_typed([*analyse, *data])}",
        f"# and then {page} says which claims held",
        *(f"# {line}" for line in expected(study, words)),
    ]
    return "\n".join(lines)


def expected(study: str, words: list[str]) -> list[str]:
    """What the whole study takes, in four lines; on CIFAR-100 with configs as they are.

    `words` are those of `run`.
    """
    networks = {sweep: 3 * students for sweep, students in _students().items()}
    networks["detectors"] *= len(NOISE_RATES)
    what = f"{len(networks)} sweeps, {sum(networks.values())} networks"
    if study == "cifar100_claims":
        return estimates.lines(_parts(), what)
    # Only here: the studies of other commands do without ml_collections.
    from kdjax.experiment.overrides import split_overrides

    given = [text.partition("=") for text in split_overrides(words)[1]]
    epochs = {key: value for key, _, value in given}.get("total_epochs", "6")
    return [
        f"{what}, each on the 10,000 embedded images for {epochs} epochs",
        "2 cores of an AMD EPYC: 77 minutes measured, with --config.total_epochs=4 "
        "(configs/fashion_mnist/RESULTS.md)",
        "one H200, a v5e-8: not measured",
    ]


def _students() -> dict[str, int]:
    """Sweep -> networks of a seed, of the detectors of a noise rate."""
    corrections = studies.adjustments(4.0, 4.0) | studies.revisions(4.0)
    one = dict.fromkeys(("teachers", "noisy_teachers", "baseline"), 1)
    return one | {
        "temperatures": len(studies.temperatures()),
        "detectors": len(("proxy", *claims.DETECTORS, "oracle", "random")),
        "noisy_labels": len(studies.under_noise()),
        "corrections": len(corrections),
    }


def _parts() -> list[estimates.Part]:
    """On CIFAR-100: 200 epochs of its pair, and 150 of the detectors' ResNet-34."""
    images, parts = 3 * 200 * estimates.CIFAR100, []
    for sweep, students in _students().items():
        if sweep == "detectors":
            each = students * len(NOISE_RATES) * 3 * 150 * estimates.CIFAR100
            parts.append(estimates.Part("", "resnet34_cifar", 1, each))
        elif students > 1:
            parts.append(estimates.Part("wrn_28_4", "wrn_16_2", students, images))
        else:
            network = "wrn_16_2" if sweep == "baseline" else "wrn_28_4"
            parts.append(estimates.Part("", network, 1, images))
    return parts


def commands(study: str, runs: pathlib.Path, words: list[str]) -> list[list[str]]:
    """The sweeps in order: what follows `python -m kdjax` in each."""
    configs = pages.configs(DATA_SETS[study])
    if pathlib.Path.cwd() == pages.CHECKOUT:
        configs = configs.relative_to(pages.CHECKOUT)
    noise = ("--config.data.noise.name=symmetric", "--config.data.noise.rate=0.4")
    packed = "--students_per_program=16"

    def sweep(name: str, config: str, *options: str) -> list[str]:
        start = ["sweep", f"--config={configs}/{config}", f"--workdir={runs / name}"]
        at_end = "--config.evaluation.every_epochs=0"
        return [*start, at_end, *options, *words]

    def teacher(name: str) -> str:
        return f"--config.teacher.workdir={runs / name}/seed-{{seed}}"

    corrections = f"corrections.py:{runs / 'baseline'}"
    return [
        sweep("teachers", "teacher.py", SEEDS),
        sweep("temperatures", "temperatures.py", teacher("teachers"), packed),
        sweep("detectors", "detectors.py"),
        sweep("noisy_teachers", "teacher.py", SEEDS, *noise),
        sweep("noisy_labels", "noisy_labels.py", teacher("noisy_teachers"), packed),
        sweep("baseline", "baseline.py", SEEDS),
        sweep("corrections", corrections, teacher("teachers"), packed),
    ]


def analyses(runs: pathlib.Path, data: list[str]) -> Iterator[list[str]]:
    """A command for each seed of the temperatures: logit distances.

    None where there are those of this training; it may have been trained anew.
    """
    for path in sorted((runs / "temperatures" / "programs").glob("*/summary.json")):
        output = runs / "analysis" / path.parent.name
        done = output / "analysis.json"
        if not done.exists() or done.stat().st_mtime < path.stat().st_mtime:
            yield ["analyse", str(path.parent), f"--output={output}", *data]


def _typed(words: list[str]) -> str:
    return shlex.join(["python", "-m", "kdjax", *words])


def _call(words: list[str]) -> None:
    """Runs a command; raises `Stopped` or SystemExit unless it ended well."""
    signals.check()  # one may have come after the command before was done
    say(_typed(words))
    code = _exit_code(words)
    if code in (0, signals.RESUMABLE):
        signals.resumable()
    if code in STOPPED:
        signals.check()  # of both, what is saved here makes it 42
    if code:
        raise SystemExit(code)


def _exit_code(words: list[str]) -> int:
    """Runs a process to its end, which it finds itself where a signal comes.

    `subprocess.run` kills its process for any exception, such as a signal's.
    """
    command, passed_on = [sys.executable, "-m", "kdjax", *words], False
    doing = f"waits for `kdjax {words[0]}` to save and end"
    with signals.deferred(lambda: doing) as stop, subprocess.Popen(command) as process:
        signals.before_exit(lambda code, why: process.kill())
        while process.poll() is None:
            if stop.noted and not passed_on:
                # A process that has it of its group takes both, so close, as one.
                process.terminate()
                passed_on = True
            time.sleep(POLL)
    code = process.returncode
    return 128 - code if code < 0 else code  # as shells have it
