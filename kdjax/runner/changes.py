"""A run that goes on with another config: what may change, and the record of it."""

import contextlib
import inspect
import pathlib
import re
import time
from collections.abc import Iterable, Mapping

import jax

from kdjax.checkpoints import storage
from kdjax.contracts import InputError, flat, json_text, nearest
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.experiment.students import student_sections
from kdjax.methods import METHODS
from kdjax.reporting.files import replace
from kdjax.reporting.results import SUMMARY
from kdjax.runner import workdir as workdirs
from kdjax.types import PyTree

FILE = "config_changes.jsonl"
LENGTHS = ("total_epochs", "total_steps")
ABSOLUTE = ("constant", "step")  # schedules that do not know how long a run is


def parse(text: str, config: Mapping) -> tuple[str, ...]:
    """The keys of --allow: of the config, or sections of it, separated by commas."""
    named = [key.strip().removeprefix("config.") for key in text.split(",")]
    every = flat(config)
    for key in filter(None, named):
        if not any(_covers(key, one) for one in every):
            raise InputError(
                f"--allow: {key!r} is no key of the config; expected such as "
                f"schedule.learning_rate.{nearest(key, every)}"
            )
    return tuple(filter(None, named))


def accepted(
    workdir: pathlib.Path, config: dict, changed: dict[str, list], allow: Iterable[str]
) -> dict[str, list]:
    """The changes, key -> [was, is now], that a run goes on with.

    Those that are allowed, and a length that is raised where no step that was made
    would have been another one. InputError for the others.
    """
    allowed = {key for key in changed if any(_covers(one, key) for one in allow)}
    longer = set(changed) & set(LENGTHS) - allowed
    rest = {key: changed[key] for key in changed.keys() - allowed - longer}
    if rest or config["select"]:
        workdirs.refuse(workdir, dict(sorted(rest.items())) or changed)
    if longer:
        _check_longer(workdir, config, {key: changed[key] for key in longer})
    if workdirs.is_done(workdir) and not changed.keys() & set(LENGTHS):
        raise InputError(
            f"--workdir: {workdir} is finished: nothing would be trained with "
            f"{', '.join(changed)}. Raise config.total_epochs as well, or use a new "
            "--workdir."
        )
    return changed


def check_stages(
    workdir: pathlib.Path, stages: Mapping[str, dict], allow: Iterable[str]
) -> None:
    """Raises InputError where a stage cannot go on, before the first one does.

    One that becomes longer ends with other weights; a later stage that was made from
    those that it had could then neither go on nor be what the config says.
    """
    directories = {name: workdir / name for name in stages}
    started = [n for n, d in directories.items() if workdirs.is_begun(d)]
    for name in started:
        directory, config = directories[name], schema.resolved(stages[name])
        changed = workdirs.changes_of(directory, config)
        readers = [n for n in started if n != name and _reads(stages[n], directory)]
        lengths = {k: changed[k] for k in LENGTHS if k in changed}
        if lengths and readers:
            raise InputError(
                f"--workdir: {directory}: {_words(lengths)}, and stage {readers[0]} "
                f"was made from what {name} had become: use a new --workdir."
            )
        if changed:
            accepted(directory, config, changed, allow)


def check_tree(directory: pathlib.Path, abstract: PyTree, changed: Iterable) -> None:
    """Raises InputError where the checkpoints have other arrays than the run.

    A damaged one may seem to have others, or cannot be read: `restore_latest` goes on
    from the newest that is sound, and says so where there is none.
    """
    wanted, different = storage.split(abstract), {}
    with contextlib.closing(storage.open_reader(directory)) as reader:
        for step in sorted(reader.all_steps(), reverse=True):
            with contextlib.suppress(Exception):  # Orbax raises five kinds for damage
                different[step] = _difference(reader.item_metadata(step), wanted)
            if different.get(step) == "":
                return
    if different:
        raise InputError(
            f"--allow: with {', '.join(changed)} changed the run has other arrays than "
            f"its checkpoints: {different[max(different)]}. It cannot go on from them: "
            "use a new --workdir, with config.initial.workdir to begin with the "
            "weights."
        )


def check_end(
    workdir: pathlib.Path, changed: dict[str, list], step: int, total_steps: int
) -> None:
    """Raises InputError where a run would end before the step that it has reached."""
    if step > total_steps:
        raise InputError(
            f"--workdir: {workdir} is at step {step}, and with {', '.join(changed)} "
            f"changed the run would end at step {total_steps}; expected an end that is "
            "not past. Leave its length as it was, or use a new --workdir."
        )


def record(workdir: pathlib.Path, changed: dict[str, list], step: int) -> None:
    """Writes down and says what is another than before `step`, in the first process.

    What a finished run said of itself is kept under another name until it ends again.
    """
    for key, (was, now) in changed.items():
        collectives.log(f"config.{key} was {was!r} and is {now!r} from step {step} on")
    if not collectives.is_primary():
        return
    path, when = workdir / FILE, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    row = {"step": step, "time": when, "changes": changed}
    before = path.read_text() if path.exists() else ""
    replace(path, f"{before}{json_text(row)}\n")
    summary = workdir / SUMMARY
    if summary.exists():
        replace(workdir / f"summary.step-{step}.json", summary.read_text())
        summary.unlink()


def _covers(name: str, key: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def _words(changed: Mapping[str, list]) -> str:
    words = [f"config.{k} was {a} and is now {b}" for k, (a, b) in changed.items()]
    return "; ".join(words)


def _reads(config: Mapping, directory: pathlib.Path) -> bool:
    """Whether a stage's config names a directory: "stage:NAME", before it was split."""
    named = re.compile(rf"{re.escape(str(directory))}(?![A-Za-z0-9._-])")
    values = flat(config).values()
    return any(isinstance(value, str) and named.search(value) for value in values)


def _check_longer(workdir: pathlib.Path, config: dict, changed: dict) -> None:
    """Refuses a length that is not raised, or that the steps so far depend on."""
    reason = _why_not(config)
    if not all(0 < was < now for was, now in changed.values()):
        reason = "a run that goes on can only become longer, by the key that it had"
    if reason:
        raise InputError(
            f"--workdir: {workdir}: {_words(changed)}: {reason}. To train on from its "
            f"weights, begin a new run: another --workdir, --config.initial.workdir="
            f"{workdir}, and the epochs and the schedule that are to come. Or go on "
            f"here nevertheless: --allow={','.join(changed)}."
        )


def _why_not(config: dict) -> str:
    """Why the steps so far would have been others in a longer run; "" if not."""
    schedule = config["schedule"]["name"]
    if schedule not in ABSOLUTE:
        return (
            f"config.schedule is {schedule!r}, whose rates are shares of the run's "
            "length, so the steps that were made would have had others"
        )
    for name, row in student_sections(config).items():
        section = row["method"]
        while section:
            build = METHODS[section["name"]] if section["name"] in METHODS else None
            build = build if build is None or callable(build) else build.build
            if build and "total_steps" in inspect.signature(build).parameters:
                return f"the method {section['name']} of {name} follows the length"
            section = section.get("supervisor")
    return ""


def _difference(metadata: Mapping, wanted: Mapping[str, PyTree]) -> str:
    """An array that only a checkpoint or only the run has; "" for none.

    ValueError where an item that each checkpoint has is missing.
    """
    if missing := [item for item in storage.ITEMS if metadata.get(item) is None]:
        raise ValueError(f"{missing[0]} is missing")
    for item in sorted({*storage.ITEMS, storage.CONNECTORS, storage.EMA}):
        different = _arrays(metadata.get(item)) ^ _arrays(wanted.get(item))
        if different:
            return f"{min(different)[0]}, of {item}"
    return ""


def _arrays(tree: PyTree) -> set[tuple[str, tuple[int, ...]]]:
    """(dotted name, shape) of each array, whatever holds it."""
    if tree is None:
        return set()
    leaves = jax.tree_util.tree_leaves_with_path(dict(tree))
    return {(".".join(map(_name, path)), tuple(leaf.shape)) for path, leaf in leaves}


def _name(entry) -> str:
    """Of a part of a path: of a dict, a tuple, or a named tuple or dataclass."""
    values = (getattr(entry, name, None) for name in ("key", "idx", "name"))
    return str(next(value for value in values if value is not None))
