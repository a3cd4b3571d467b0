"""python -m kdjax reproduce: trains a study of the papers and writes its tables.

  python -m kdjax reproduce STUDY [options]
  python -m kdjax reproduce STUDY --help

  cifar100         "KL versus MSE" at alpha 1, its protocol: WRN-28-4 -> WRN-16-2
  repdistiller     RepDistiller's protocol: resnet56 -> resnet20, WRN-40-2 -> WRN-16-2
  cifar100-small   ResNet-20 -> ResNet-8, 10 epochs: all claims in hours of two cores
  fashion_mnist    the claims of all four papers, by sweeps on 12,000 small images
  fashion_mnist-teachers   rules for wrong teachers under three teachers, same images
  cifar100_claims  the same on CIFAR-100
  imagenet         only --plan: what its configs take; they are trained one by one

The same command goes on where it was stopped, and ends with the study's section of
configs/SET/RESULTS.md; the one there of fashion_mnist is of --config.total_epochs=4.
With --data=FILE.npz, cifar100 and repdistiller need no packages but jax, jaxtyping,
flax, optax, orbax-checkpoint and numpy.
"""

import argparse
import functools
import math
import pathlib
import sys
from collections.abc import Callable

from kdjax import cli, paths
from kdjax.contracts import InputError
from kdjax.distributed import alone
from kdjax.reporting.console import say
from kdjax.reproduce import (
    estimates,
    imagenet,
    pages,
    plans,
    small,
    small_page,
    sweeps,
    tables,
    teachers,
    teachers_page,
)
from kdjax.runner import time_slice
from kdjax.runner.workdir import is_done

SLICE = 8.0  # minutes of --once
TRAINED = (*plans.STUDIES, small.NAME, teachers.NAME)


def main(argv: list[str]) -> int:
    """Runs a study, or only prints its plan or writes its page."""
    options, words = read(argv)
    if options.study == imagenet.NAME:
        return _plan_imagenet(options)
    root = paths.local(options.runs, "--runs").resolve()
    if options.study in TRAINED:
        return _train(options, root)
    data = []
    if options.data_dir is not None:
        data = [f"--data_dir={paths.resolve(options.data_dir, '--data_dir')}"]
    if options.plan:
        say(sweeps.plan(options.study, root, data, words))
    elif options.report:
        sweeps.report(options.study, root, words)
    else:
        sweeps.run(options.study, root, data, words)
    return 0


def _plan_imagenet(options: argparse.Namespace) -> int:
    if not options.plan:
        raise InputError(
            "imagenet is no single command; expected --plan, which names its configs: "
            "train each by `python -m kdjax train --config=configs/imagenet/NAME.py`, "
            "as its first lines say."
        )
    say(imagenet.plan())
    return 0


def _train(options: argparse.Namespace, root: pathlib.Path) -> int:
    """A study whose runs are trained and recorded in this process."""
    study, settings = options.study, read_settings(options)
    runs, write = _planned(study, settings, root)
    expected = _expected(study, runs, root, settings.dtype)
    if options.plan:
        whole = estimates.benchmark() if study == "repdistiller" else []
        say("\n".join([*map(plans.describe, runs), *expected, *whole]))
        return 0
    results = _results(options, root)
    # Only here: they bring JAX and all of a training.
    from kdjax.reproduce import records, run
    from kdjax.weights import safetensors

    if study == small.NAME:
        safetensors.check_installed(f"reproduce {study}, which exports its teacher")
    if not options.report:
        alone.check_alone(f"reproduce {study}")
        sliced = options.once and options.minutes == math.inf
        minutes = SLICE if sliced else options.minutes
        command = records.command(study, settings)
        record = functools.partial(_record, study, command, results, write)
        say("\n".join(expected), sys.stderr)
        records.check_free(study, runs, root, results, settings.dtype)
        run.run(runs, root, minutes, record, options.devices)
    say(f"wrote {write(study, results)}")
    _export(study, runs[0], root / runs[0].name, results)
    return 0


def _record(
    study: str,
    command: str,
    results: pathlib.Path,
    write: Callable,
    one: plans.Run,
    directory: pathlib.Path,
) -> None:
    """Records a run that is finished; a study's teacher is exported at once."""
    from kdjax.reproduce import records

    records.add(study, command, results, write, one, directory)
    _export(study, one, directory, results)


def _export(
    study: str, one: plans.Run, directory: pathlib.Path, results: pathlib.Path
) -> None:
    """The teacher of the small study as safetensors, for others to use."""
    if study == small.NAME and one.name == small.TEACHER:
        from kdjax.reproduce.teacher_file import export_teacher

        export_teacher(one.config, directory, results)


def _planned(
    study: str, settings: plans.Settings, root: pathlib.Path
) -> tuple[list[plans.Run], Callable]:
    """The runs of a study, and what writes its page from their records."""
    if study == small.NAME:
        return small.plan(settings, root), small_page.write
    if study == teachers.NAME:
        return teachers.plan(settings, root), teachers_page.write
    return plans.plan(plans.STUDIES[study], settings, root), tables.write


def _results(options: argparse.Namespace, root: pathlib.Path) -> pathlib.Path:
    """Where records go, beside whose directory the page is."""
    if options.results is not None:
        return paths.local(options.results, "--results").resolve()
    if options.total_steps:  # a rehearsal, which measures nothing
        return root / "results"
    return pages.configs(_data_set(options.study)) / "results"


def _data_set(study: str) -> str:
    """The directory below configs/ of a study that is trained here."""
    return "fashion_mnist" if study == teachers.NAME else "cifar100"


def _expected(
    study: str, runs: list[plans.Run], root: pathlib.Path, dtype: str
) -> list[str]:
    """What the runs that are not finished will take."""
    left = [run for run in runs if not is_done(root / run.name)]
    parts = estimates.parts_of(left)
    networks = sum(part.students for part in parts)
    what = f"{len(left)} of {len(runs)} runs to do, {networks} networks"
    if study == teachers.NAME:
        return teachers.expected(left, what)
    return estimates.lines(parts, what, dtype)


def read(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """(options, words that go to every sweep)."""
    parser = cli.parser("reproduce", __doc__)
    studies = parser.add_subparsers(dest="study", metavar="STUDY", required=True)
    one = studies.add_parser(imagenet.NAME, allow_abbrev=False)
    one.add_argument("--plan", action="store_true", help="what its configs take")
    for name in (*TRAINED, *sweeps.DATA_SETS):
        one = studies.add_parser(name, allow_abbrev=False)
        add, data = one.add_argument, one.add_mutually_exclusive_group().add_argument
        if name != teachers.NAME:  # its images come with kdjax
            data("--data_dir", metavar="DIR", help="TFDS data; default $TFDS_DATA_DIR")
        add("--runs", metavar="DIR", default=f"runs/{name}", help="default %(default)s")
        add("--plan", action="store_true", help="only print what would run")
        add("--report", action="store_true", help="train nothing; write RESULTS.md")
        if name in TRAINED:
            _add_trained(one, name)
            if name == teachers.NAME:
                one.set_defaults(data=None, data_dir=None)
                continue
            file = "of `prepare --npz=FILE`, not TFDS data"
            data("--data", metavar="FILE", help=file)
        else:
            one.epilog = "All other options go to every sweep, such as --devices=2 or "
            one.epilog += "--config.total_epochs=4."
    options, words = parser.parse_known_args(argv)
    if words and options.study not in sweeps.DATA_SETS:
        parser.refuse(words)
    return options, words


def _add_trained(parser: argparse.ArgumentParser, study: str) -> None:
    """The options of a study that is trained here."""
    add = parser.add_argument
    results = parser.add_mutually_exclusive_group().add_argument
    usual = f"default configs/{_data_set(study)}/results"
    results("--results", metavar="DIR", help=usual)
    rehearsal = "a rehearsal of N steps a run; its results stay in --runs"
    results("--total_steps", type=int, default=0, metavar="N", help=rehearsal)
    seeds = "0" if study in plans.STUDIES else "0,1,2"
    add("--seeds", default=seeds, help="of the students; default %(default)s")
    once = f"one time slice of {SLICE:g} minutes, or --minutes; 42: there is more"
    add("--once", action="store_true", help=once)
    time_slice.add_minutes(parser)
    if study in plans.STUDIES:  # the other pages are of one type
        add("--dtype", default=plans.FLOAT32, choices=(plans.FLOAT32, "bfloat16"))
    else:
        parser.set_defaults(dtype=plans.FLOAT32)
    add("--devices", type=int, help="virtual devices, on CPU only")


def read_settings(options: argparse.Namespace) -> plans.Settings:
    """Data, seeds, type and length."""
    words = [word.strip() for word in options.seeds.split(",")]
    if not all(word.isdecimal() for word in words):
        raise InputError(f"--seeds is {options.seeds!r}; expected such as 0,1,2.")
    if options.total_steps < 0:
        raise InputError(f"--total_steps is {options.total_steps}; expected 1 or more.")
    data = {}
    if options.data is not None:
        file = paths.resolve(options.data, "--data")
        data = {"data": file.name, "data_dir": str(file.parent)}
    elif options.data_dir is not None:
        data_dir = paths.resolve(options.data_dir, "--data_dir")
        data = {"data_dir": str(data_dir)}
    return plans.Settings(
        seeds=tuple(dict.fromkeys(map(int, words))),
        dtype=options.dtype,
        total_steps=options.total_steps,
        **data,
    )
