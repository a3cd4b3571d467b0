"""Training and distillation from Python: what the commands do, as functions.

    import kdjax

    data = {"train": (images, labels), "test": (test_images, test_labels)}
    teacher = kdjax.train("resnet20", data, workdir="runs/teacher", epochs=60)
    student = kdjax.distill("resnet8", teacher, data, workdir="runs/student", epochs=20)
    student.metrics["top1"], student.logits(test_images)

A run lives in its directory as one of `python -m kdjax train` does: the same call
resumes what was stopped and returns what is finished; `evaluate`, `report` and `export`
read it. Errors are exceptions: `kdjax.contracts.InputError` (a ValueError) for what
cannot work, also in code of yours, whose place it names; `Preempted` where a signal, or
the stop button of a notebook, came and the state is saved. Signals are handled as
before when a function returns.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack

from kdjax import paths, signals
from kdjax.api.arguments import Settings, errors_of_arguments, with_settings
from kdjax.api.config import configured
from kdjax.api.processes import check_joined
from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.builders import allow_code
from kdjax.models import provided
from kdjax.reporting.grids import SEED, Line, means
from kdjax.runner import changes, objects, run
from kdjax.runner import evaluate as scoring
from kdjax.runner.trained import Trained, read_trained


@errors_of_arguments()
@with_settings(method="ce")
def train(
    network,
    data,
    *,
    workdir: str | pathlib.Path,
    allow: str | Sequence[str] = (),
    **settings: Unpack[Settings],
) -> Trained:
    """Trains a network on labels; of `distill` it takes what needs no teacher.

    >>> import tempfile, numpy as np
    >>> images = np.random.default_rng(0).integers(0, 255, (32, 8, 8, 3), np.uint8)
    >>> pair = images, np.arange(32) % 4
    >>> data = {"train": pair, "test": pair}
    >>> with tempfile.TemporaryDirectory() as workdir:
    ...     trained = train("resnet8", data, workdir=workdir, epochs=1, batch_size=16)
    ...     trained.logits(images).shape
    (32, 4)
    """
    return distill(network, None, data, workdir=workdir, allow=allow, **settings)


@errors_of_arguments()
@with_settings()
def distill(
    student,
    teacher,
    data,
    *,
    workdir: str | pathlib.Path,
    allow: str | Sequence[str] = (),
    **settings: Unpack[Settings],
) -> Trained:
    """Trains a student with a teacher, on the devices that JAX has here.

    Args:
      student: a name of `kdjax.models.MODELS`; a module of flax.linen; a module of
        flax.nnx or equinox, which begins with its own weights; a function of `rngs`
        (NNX) or `key` (Equinox) that makes one, which draws them; or a `Network`.
      teacher: what `train` or `load` returned; the directory of a run; (network,
        params, batch_stats), the network as above; a trained module of flax.nnx or
        equinox, or its (module, state); None without one.
      data: the name of a TFDS set or an .npz file; a folder of images, one folder a
        class; or {"train": ..., "test": ...} of (images, labels) or of what gives
        (image, label): see `kdjax.data.arrays`. Arrays are kept in the run's directory
        as data.npz, and folders as data/.
      workdir: of the run; each has its own.
      allow: keys of the config that may have changed since the run began, as
        "schedule.learning_rate"; a longer run may need none.
      epochs: how often the student passes over all training images.
      method: its name, or {"name": ..., and its arguments}: docs/methods.md. "kd"
        alone has alpha 0.9 and temperature 4.
      batch_size: None: 128, or less for a set that has not 40 batches of that size.
      learning_rate: None: 0.1; where `batch_size` is None, in proportion to the batch.
      data_dir: where prepared sets are, which go before folders of their names; "":
        where TFDS keeps its sets.
      config: any other key, dotted -> value, as {"optimizer.weight_decay": 1e-4}:
        docs/config.md. Images of your own are cropped and flipped at random unless
        "data.padding" and "data.flip" say otherwise.

    Raises:
      InputError: what cannot work. NonFinite: too many steps skipped or NaN at the end.
      Preempted: a signal came, or another host was lost; the same call goes on.
    """
    workdir = paths.resolve(workdir, "workdir")
    with configured(student, teacher, data, workdir, settings) as config:
        keys = allow if isinstance(allow, str) else ",".join(allow)
        allowed = changes.parse(keys, schema.plain(config))
        run.run(config, workdir, allow=allowed)
    return load(workdir, network=student)


@dataclasses.dataclass(frozen=True)
class SweepResult:
    """What the trials of one choice of values gave, over their seeds."""

    values: dict[str, str]  # axis -> its value in words; of `seed` none
    metrics: dict[str, float]  # means over the seeds; {} where all have failed
    deviations: dict[str, float | None]  # sample standard deviations; None of one seed
    seeds: int  # how many trials the means are over
    workdirs: list[pathlib.Path]  # of all its trials
    failed: list[str]  # names of the trials whose loss was not finite


@errors_of_arguments()
@with_settings()
def sweep(
    axes: Mapping[str, Any],
    student,
    teacher,
    data,
    *,
    workdir: str | pathlib.Path,
    students_per_program: int = 8,
    retry_failed: bool = False,
    **settings: Unpack[Settings],
) -> list[SweepResult]:
    """Distils once for each combination of values; the same call resumes.

    Trials that differ in method alone train in one program against one teacher forward.

    Args:
      axes: dotted key of the config -> values, as {"method.temperature": (1.0, 4.0),
        "seed": (0, 1, 2)}: `kdjax.sweeps.axes`. Networks and teachers are names there.
      workdir: of all trials; each has a directory in it.
      students_per_program: at most so many train at once.
      retry_failed: trains those again whose loss was not finite.
      **settings: the other arguments of `distill`; method="ce" needs no teacher.

    Returns:
      One result for each combination of the axes but `seed`, in their order.
    """
    from kdjax.sweeps import directory
    from kdjax.sweeps import run as sweeps
    from kdjax.sweeps.axes import read_axes
    from kdjax.sweeps.trials import make_trials

    root = paths.resolve(workdir, "workdir")
    if not axes:
        raise InputError(
            "axes: the grid has no axis; expected {dotted key: values}, such as "
            '{"method.temperature": (1.0, 4.0)}.'
        )
    with configured(student, teacher, data, root, settings) as base:
        trials = make_trials(base, read_axes(dict(axes), []))
        sweeps.check(trials, students_per_program)
        directory.check_done(root, trials)
        with signals.watched("kdjax"):
            sweeps.run(root, trials, students_per_program, retry_failed=retry_failed)
        return _over_seeds(root, sweeps.results(root, trials))


def _over_seeds(root: pathlib.Path, lines: list[Line]) -> list[SweepResult]:
    """The lines of each choice of values as one, in their order."""
    groups: dict[tuple, list[Line]] = {}
    for line in lines:
        values = {key: text for key, text in line.cells.items() if key != SEED}
        groups.setdefault(tuple(values.items()), []).append(line)
    return [_result(root, dict(values), own) for values, own in groups.items()]


def _result(root: pathlib.Path, values: dict, lines: list[Line]) -> SweepResult:
    done = [line for line in lines if line.state == "done"]
    rows = means([line._replace(cells={SEED: line.row}) for line in done])
    row = rows[0] if rows else {"mean": {}, "deviation": {}, "seeds": 0}
    return SweepResult(
        values=values,
        metrics=row["mean"],
        deviations=row["deviation"],
        seeds=row["seeds"],
        workdirs=[root / line.row for line in lines],
        failed=[line.row for line in lines if line.state == "failed"],
    )


@errors_of_arguments()
def load(
    workdir: str | pathlib.Path,
    *,
    network=None,
    student: str = "",
    checkpoint: str | int = "latest",
) -> Trained:
    """A network of a run, at its latest or best checkpoint or a step.

    `network` is the object that the run was given, where it was no name; `student` says
    which one, where the run has several.
    """
    with _provided(network):
        return read_trained(paths.resolve(workdir, "workdir"), student, checkpoint)


@errors_of_arguments()
def evaluate(
    workdir: str | pathlib.Path,
    *,
    split: str = "",
    data: str | pathlib.Path = "",
    data_dir: str | pathlib.Path = "",
    feed: str = "auto",
    short_side: int | None = None,
    subset: bool = False,
    student: str = "",
    checkpoint: str | int = "latest",
    weights: str = "",
    network=None,
    teacher=None,
) -> dict[str, dict[str, float]]:
    """Student -> metrics on the run's test split, or on other images.

    Args:
      split: another split of the run's set, or one of `data`.
      data: another set of the same classes, by its name; `data_dir` is where it is.
      feed, short_side, subset: of `data`, as `python -m kdjax evaluate --help` says.
      student: only this one; `checkpoint` is latest, best or a step.
      weights: ema or raw, of a run that averages weights.
      network: the object that the run was given, where it was no name.
      teacher: what the run was given, where that was in memory: for the agreement.
    """
    check_joined()
    if not isinstance(data, str | pathlib.Path):
        raise InputError(
            f"data is {type(data).__name__}; expected the name of a set or an .npz "
            "file. Arrays go through kdjax.load(workdir).logits(images)."
        )
    images = str(data_dir), str(data), feed, short_side, subset
    request = scoring.SplitRequest(split, *images)
    workdir = paths.resolve(workdir, "workdir")
    with _provided(network, teacher):
        row = scoring.evaluate(workdir, request, checkpoint, student, weights)
    return row["students"]


@contextlib.contextmanager
def _provided(network, teacher=None) -> Iterator[None]:
    """While active, a run that was given these objects finds them by their names.

    A function that is named here, "package.module:function", may be called.
    """
    networks, name = {}, ""
    if network is not None:
        name = objects.network_name("network", network, networks)
    objects.teacher_section(teacher, networks)
    of_teacher = teacher.model if isinstance(teacher, Trained) else ""
    with allow_code(name, of_teacher), provided(networks):
        yield
