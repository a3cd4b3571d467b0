"""Orbax as we use it: one manager, one way to restore, one error."""

import contextlib
import glob
import itertools
import json
import logging
import pathlib
from collections.abc import Iterable

import jax
import orbax.checkpoint as ocp
from etils import epath

from kdjax.contracts import InputError
from kdjax.paths import files, is_url
from kdjax.paths.json_files import parse_json
from kdjax.training.state import TrainState
from kdjax.types import PyTree


class StorageError(RuntimeError):
    """A checkpoint could not be written or read."""

    exit_code = 4


class DamagedStepError(StorageError):
    """What was read of a checkpoint is not what was saved."""


# Item of a step -> which fields of a state are in it.
ITEMS = {
    "variables": ("params", "batch_stats"),
    "training": ("step", "opt_state", "supervision_state"),
}

SLOWEST = 24 * 3600  # seconds of a save, on a disk that is slow or shared
CHECKSUMS = "checksums"  # of the arrays, in the identity
META, METRICS = "meta/metadata", "metrics/metrics"  # files of a step
SCORES = {str: {"top1": float}}  # what Orbax's policies read of METRICS
_NAMED = {"name": str}
_DATA = {
    "classes?": int,
    "class_names?": ([str], None),
    "image_shape?": [int],
    "normalisation?": {"mean": [float], "std": [float]},
}
META_FORM = {
    "step": int,
    "students?": {str: {"model?": _NAMED, "method?": _NAMED, "networks?": int}},
    "data?": _DATA,
    "teacher?": ({"digest": str}, None),
    "imported?": dict,
    "checksums?": {str: [int]},
    "metrics?": SCORES,
    "config?": dict,
}
CONNECTORS = "connectors"  # an item of its own: a later stage of a run reads it alone
EMA = "ema"  # the average of the weights, where a run has one


def split(states: dict[str, TrainState]) -> dict[str, PyTree]:
    """The items of a step; "connectors" and "ema" only where a student has some."""
    items = {
        item: {name: {f: getattr(s, f) for f in fields} for name, s in states.items()}
        for item, fields in ITEMS.items()
    }
    for item in (CONNECTORS, EMA):
        some = {name: getattr(s, item) for name, s in states.items()}
        some = {name: tree for name, tree in some.items() if tree}
        items |= {item: some} if some else {}
    return items


def join(items: dict[str, PyTree]) -> dict[str, TrainState]:
    connectors, averages = items.get(CONNECTORS, {}), items.get(EMA, {})
    return {
        name: TrainState(
            **items["variables"][name],
            **items["training"][name],
            connectors=connectors.get(name, {}),
            ema=averages.get(name, {}),
        )
        for name in items["variables"]
    }


def check_shapes(manager, step: int, abstract: dict[str, TrainState]) -> None:
    """Tells a network that was changed from a file that was damaged."""

    def shapes(tree):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}

    saved = shapes(dict(manager.item_metadata(step)["variables"]))
    wanted = shapes(split(abstract)["variables"])
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise InputError(
                f"{manager.directory}: the network is not the one that was saved: "
                f"{name} had shape {saved.get(name)} and has {wanted.get(name)}. Use a "
                "new --workdir for another network."
            )


def restore(manager, step: int, abstract: dict[str, PyTree]):
    """(items, meta) of a step; this process reads its own parts of divided arrays.

    No other process is waited for. `check_sums` tells whether the arrays are sound.
    """
    meta = read_meta(manager.directory, step)
    args = {n: ocp.args.StandardRestore(tree) for n, tree in abstract.items()}
    restored = manager.restore(step, args=ocp.args.Composite(**args))
    return {n: restored[n] for n in abstract}, meta


def read_meta(directory: pathlib.Path, step: int | str) -> dict:
    """The identity of a step; ValueError where it is damaged.

    Those of earlier versions have no checksum.
    """
    try:
        return parse_json((directory / str(step) / META).read_bytes(), META_FORM)
    except ValueError as error:
        raise ValueError(f"its {META}: {error}") from error


def mend_metrics(directory: pathlib.Path) -> list[str]:
    """Writes the scores of steps anew where their item is damaged; a sentence each.

    They lie in the identity too. Orbax reads those of all steps whenever it opens, so
    one damaged item would end every start. Without a sound identity they are deleted:
    such a step is damaged, which `restore` finds.
    """
    steps = [int(name) for name in files.names(directory) if name.isdigit()]
    sentences = []
    for step in sorted(steps):
        with reading(directory, step):
            sentences.append(_mend(directory, step))
    return list(filter(None, sentences))


def _mend(directory: pathlib.Path, step: int) -> str:
    path, metrics = directory / str(step) / METRICS, None
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        metrics = read_meta(directory, step).get("metrics")
    try:
        stored = parse_json(path.read_bytes(), SCORES)
        is_sound = stored == metrics or metrics is None
    except (FileNotFoundError, NotADirectoryError):
        is_sound = metrics is None
    except ValueError:
        is_sound = False
    if is_sound:
        return ""
    if metrics is None:
        path.unlink(missing_ok=True)
        return f"checkpoint {step}: its scores are damaged, and are lost"
    with files.written(path) as part:
        part.write_text(json.dumps(metrics))
    return f"checkpoint {step}: its scores were damaged, and are written anew"


def check_sums(step: int, sums: dict[str, list[int]], meta: dict) -> None:
    """Compares `sums_of` items with those that were saved in the same step.

    Raises StorageError where they differ. Of arrays that are divided over processes,
    all processes compute the sums together.
    """
    if CHECKSUMS not in meta:  # of the first versions
        return
    for name, own in sums.items():
        saved = meta[CHECKSUMS].get(name, [])
        wrong = sum(a != b for a, b in itertools.zip_longest(saved, own))
        if wrong:
            text = f"step {step}: {wrong} arrays differ from their checksum"
            raise StorageError(text)


class LiteralPath(type(epath.Path())):
    """A directory in whose name [, ] , * and ? stand for themselves.

    Orbax finds the parts that it merges with `glob`, and etils reads the name of the
    directory as a part of the pattern: nothing matches below "run [lr=0.1]".
    """

    def glob(self, pattern):
        return (self / name for name in glob.glob(pattern, root_dir=str(self)))


def open_manager(directory: pathlib.Path, **options):
    # Orbax warns about choices that are ours; damaged steps we report ourselves.
    logging.getLogger("absl").setLevel(logging.ERROR)
    # Named here, so that a directory can be read before it is written to.
    registry = ocp.handlers.create_default_handler_registry(
        variables=ocp.StandardCheckpointHandler(),
        training=ocp.StandardCheckpointHandler(),
        connectors=ocp.StandardCheckpointHandler(),
        ema=ocp.StandardCheckpointHandler(),
        meta=ocp.JsonCheckpointHandler(),
    )
    return ocp.CheckpointManager(
        epath.Path(directory) if is_url(directory) else LiteralPath(directory),
        options=ocp.CheckpointManagerOptions(
            # By default one of 20 minutes is an error, and a slow disk ends a run.
            async_options=ocp.AsyncOptions(timeout_secs=SLOWEST),
            **options,
        ),
        handler_registry=registry,
    )


def open_reader(directory):
    """Reads without the other processes: none may wait for another in a collective."""
    here = jax.process_index()
    options = ocp.options.MultiprocessingOptions
    alone = options(primary_host=here, active_processes={here})
    # Nor may the damaged scores of one step hide all of them: readers need no scores.
    rest = {"lightweight_initialize": True, "multiprocessing_options": alone}
    return open_manager(directory, read_only=True, **rest)


@contextlib.contextmanager
def errors(what: str, step: int | str):
    """Raises a StorageError, which exits with 4, for errors of the disk and Orbax."""
    try:
        yield
    except (InputError, StorageError):
        raise
    except Exception as error:
        raise StorageError(
            f"checkpoints: could not {what} step {step}: {type(error).__name__}: "
            f"{str(error)[:300]}. Steps saved before are still good; look at the free "
            "space and the permissions of the --workdir. The same command goes on."
        ) from error


@contextlib.contextmanager
def reading(directory: pathlib.Path, step: int | str, others: Iterable[int] = ()):
    """Raises a StorageError that tells damage from a disk that gives nothing now.

    `others` are the steps that may be used instead.
    """
    try:
        yield
    except (InputError, StorageError):
        raise
    except Exception as error:  # Orbax raises five kinds for damaged files
        raise unreadable(directory, step, error, others) from error


def unreadable(
    directory: pathlib.Path,
    step: int | str,
    error: Exception,
    others: Iterable[int] = (),
) -> StorageError:
    """The error of a step that raised this one: what a disk refuses is not damage."""
    where = directory / str(step)
    no_answer = error if files.is_refused(error) else files.refusal(where)
    if no_answer:
        return StorageError(
            f"{where} cannot be read now ({files.text_of(no_answer)}). That is no "
            "damage: it is left as it is. Look at the permissions and at the disk, "
            "then run the same command again."
        )
    rest = ", ".join(map(str, sorted(set(others) - {step})))
    advice = f"There are also: {rest}." if rest else "There is no other one."
    return DamagedStepError(
        f"{directory}: checkpoint {step} is damaged ({files.text_of(error)}). {advice}"
    )
