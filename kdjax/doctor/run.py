"""A run's directory: config, checkpoints, rows, summary and what it was made from."""

import pathlib

from kdjax.checkpoints.inspection import Step
from kdjax.contracts import flat
from kdjax.doctor.documents import different, not_finite
from kdjax.doctor.findings import Findings, guarded, note, ok, problem
from kdjax.doctor.holder import examine_holder
from kdjax.doctor.rows import METRICS, SETTINGS, examine_rows
from kdjax.doctor.sources import examine_sources
from kdjax.doctor.states import examine_steps
from kdjax.experiment import schema
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.students import student_sections
from kdjax.paths.json_files import read_json
from kdjax.reporting.results import SUMMARY, SUMMARY_FORM
from kdjax.runner import changes
from kdjax.runner.skipped_images import FILE as UNREADABLE
from kdjax.runner.workdir import CONFIG, CONFIG_FORM

WRITTEN_AGAIN = "Move it away; the same command writes it again."
ENDS_AGAIN = (
    "Move it away; the same command goes on from the newest checkpoint and writes it "
    "again, without a step where all are made."
)
OLD_CONFIG = "Use the config of the run, or begin anew in another --workdir."


def examine_run(workdir: pathlib.Path, quick: bool) -> Findings:
    """A training, or the stages of one."""
    yield from guarded(workdir, WRITTEN_AGAIN, examine_holder, workdir)
    config = yield from guarded(workdir / CONFIG, WRITTEN_AGAIN, _config, workdir)
    if config and config["order"]:
        for name in config["order"]:
            yield from _stage(workdir / name, quick)
        return
    if config and config["select"]:
        text = "is of a selection that is not finished"
        yield note(workdir, text, "The same command writes it.")
        return
    directory = workdir / CHECKPOINTS
    advice = "Restore a copy of these files, or begin anew in another --workdir."
    steps = yield from guarded(directory, advice, examine_steps, directory, quick)
    steps = steps or []
    metas = [step.meta for step in steps if step.meta]
    meta = metas[-1] if metas else {}
    if config and meta:
        yield from guarded(
            workdir / CONFIG, OLD_CONFIG, _same_run, workdir, config, meta
        )
    every = config["log_every_steps"] if config else 1 << 30
    path = workdir / METRICS
    yield from guarded(path, "Move it away.", examine_rows, workdir, every, metas)
    path = workdir / SUMMARY
    finished = yield from guarded(path, ENDS_AGAIN, _summary, workdir, steps)
    yield from _unreadable_images(workdir)
    if config and meta:
        arguments = workdir, config, meta, bool(finished), quick
        yield from guarded(workdir, advice, examine_sources, *arguments)


def _stage(workdir: pathlib.Path, quick: bool) -> Findings:
    from kdjax.doctor.selections import examine_selection, is_selection

    if not workdir.exists():
        yield note(workdir, "this stage has not begun", "The same command comes to it.")
    elif is_selection(workdir):
        yield from examine_selection(workdir, quick)
    else:
        yield from examine_run(workdir, quick)


def _config(workdir: pathlib.Path) -> Findings:
    """Returns the config as this version reads it; None where there is none."""
    path = workdir / CONFIG
    if not path.exists():
        yield problem(path, "is missing", "The same command writes it again.")
        return None
    stored = read_json(path, "the config", CONFIG_FORM)
    config = schema.with_defaults(stored)
    schema.check_keys(config)
    retired = ", ".join(stored.keys() & schema.RETIRED.keys())
    if retired:
        yield note(path, f"is of an earlier version: {retired} is not read any more")
    yield ok(path, f"{len(flat(stored))} keys, all of which this version reads")
    return config


def _same_run(workdir: pathlib.Path, config: dict, meta: dict) -> Findings:
    """What the newest checkpoint says of its config, or of its students alone."""
    path = workdir / CONFIG
    if "config" in meta:
        other = _changed(schema.with_defaults(meta["config"]), config)
    else:  # of earlier versions
        other = _changed_students(meta["students"], student_sections(config))
    if not other:
        yield ok(path, "is the config of the newest checkpoint")
        return
    text = f"is of another run than the newest checkpoint: {'; '.join(other[:3])}"
    if (workdir / changes.FILE).exists():
        yield note(path, text, f"{changes.FILE} says which changes were allowed.")
    else:
        yield problem(path, text, OLD_CONFIG)


def _changed_students(saved: dict, sections: dict) -> list[str]:
    if saved.keys() != sections.keys():
        return [f"its students are {', '.join(saved)}"]
    other = []
    for name, section in sections.items():
        # What a builder adds to its section is in what was saved alone.
        own = {key: value for key, value in section.items() if key in saved[name]}
        then = {key: saved[name][key] for key in own}
        other += [f"{name}: {clause}" for clause in _changed(then, own)]
    return other


def _changed(then: dict, now: dict) -> list[str]:
    """Values that may not change between two starts of a run, and did."""
    return different(*(_fixed(flat(schema.jsonable(one))) for one in (then, now)))


def _fixed(values: dict) -> dict:
    return {key: value for key, value in values.items() if not schema.is_free(key)}


def _summary(workdir: pathlib.Path, steps: list[Step]) -> Findings:
    """Returns whether the run is finished; it is compared with the newest step."""
    path, meta = workdir / SUMMARY, steps[-1].meta if steps else {}
    if not path.exists():
        yield note(
            workdir,
            f"is not finished; it is at step {meta.get('step', 0)}",
            "The same command goes on from there, if it is not running.",
        )
        return False
    record = read_json(path, "the summary", SUMMARY_FORM)
    metrics = {name: row["metrics"] for name, row in record["students"].items()}
    bad = not_finite(metrics)
    if bad:
        text = f"{bad[0]} of the last evaluation is not a finite number"
        yield problem(path, text, SETTINGS)
    if (
        all(step.problems for step in steps) and "program" not in record
    ):  # else they are its program's
        text = "says that the run is finished, and no checkpoint of it can be read"
        yield problem(path, text, "Restore a copy of the checkpoints.")
    saved = meta.get("metrics")
    other = different(metrics, saved) if saved and not bad else []
    identity = record.get("identity", {})
    if saved:
        other += different(identity, {key: meta.get(key) for key in identity})
    if other:
        text = f"is of another state than the newest checkpoint: {'; '.join(other[:3])}"
        yield problem(path, text, ENDS_AGAIN)
    elif not bad:
        yield ok(path, "finished; its numbers are those of the newest checkpoint")
    return True


def _unreadable_images(workdir: pathlib.Path) -> Findings:
    path = workdir / UNREADABLE
    if path.exists():
        images = yield from guarded(path, WRITTEN_AGAIN, _read, path)
        if images:
            text = (
                f"{len(images)} images could not be read, and others took their place"
            )
            yield note(path, text, "Prepare the set anew to have all of them.")


def _read(path: pathlib.Path) -> Findings:
    yield from ()
    return read_json(path, "the list of them")
