"""Planted faults: each has its own sentence, and what is whole has none."""

import fcntl
import hashlib
import json
import os
import re
import shutil

import jax
import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.doctor import examine as examining
from kdjax.doctor.examine import examine
from kdjax.doctor.findings import NOTE, PROBLEM
from kdjax.doctor.report import count
from kdjax.paths.json_files import CHECKSUM, parse_json, sealed
from kdjax.weights import imported, safetensors
from tests.doctor.conftest import CLASSES, KINDS


@pytest.fixture(autouse=True)
def without_machine(monkeypatch):
    monkeypatch.setattr(examining, "examine_machine", lambda paths: iter(()))


def texts(findings, level):
    return [f"{f.where}: {f.text} -> {f.advice}" for f in findings if f.level == level]


def look(path, quick=False):
    return examine([path], quick)[0].findings


def problems(path, quick=False):
    return texts(look(path, quick), PROBLEM)


def content(root):
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and digest(path))
        for path in root.rglob("*")
    }


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("quick", (False, True), ids=("whole", "quick"))
def test_what_is_whole_has_no_problem_and_nothing_is_changed(root, quick):
    before = content(root)
    examined = examine([root / name for name in KINDS], quick)[:-1]
    assert {one.path: one.kind for one in examined} == {
        str(root / name): kind for name, kind in KINDS.items()
    }
    assert [texts(one.findings, PROBLEM) for one in examined] == [[]] * len(KINDS)
    assert count(examined) == 0
    if not quick:
        assert [texts(one.findings, NOTE) for one in examined] == [[]] * len(KINDS)
    assert content(root) == before


def edit(path, change):
    """Changes a JSON file by a function of what is in it."""
    record = parse_json(path.read_bytes())
    is_sealed = CHECKSUM in json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(sealed(record) if is_sealed else record))


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path, position=None):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= 1
    path.write_bytes(bytes(content))


def largest(directory):
    files = [path for path in directory.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def edit_rows(root, change):
    path = root / "student" / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def set_top1(value):
    def change(rows):
        rows[-1]["eval/kd/top1"] = value
        return rows

    return change


def skip_steps(rows):
    rows[0]["train/kd/skipped"] = 1.0
    return rows


def other_teacher(root):
    steps = root / "teacher" / "checkpoints"
    shutil.rmtree(steps / "4")
    shutil.copytree(steps / "2", steps / "4")


def lose_teacher(root):
    shutil.rmtree(root / "teacher")
    (root / "student" / "summary.json").unlink()


def change_pixel(root):
    edit_arrays(
        root,
        train_image=lambda image: (
            image ^ (np.arange(128) == 5)[:, None, None, None].astype(np.uint8)
        ),
    )


def edit_arrays(root, **change):
    path = root / "set.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays |= {key: function(arrays[key]) for key, function in change.items()}
    np.savez_compressed(path, **arrays)


def import_bad(root, leaf, value):
    """A checkpoint whose checksums are right and whose numbers no network has."""
    directory = root / "imported" / "checkpoints"
    meta, _ = checkpoints.read_meta(directory)
    variables = checkpoints.read_variables(directory, 0, "resnet8")

    def spoil(path, array):
        array = np.array(array)
        if leaf in str(path[-1]):
            array[...] = value
        return array

    variables = jax.tree.map_with_path(spoil, variables)
    shutil.rmtree(directory)
    meta = {k: v for k, v in meta.items() if k not in ("step", "checksums")}
    imported.save(directory, "resnet8", variables, meta)


def edit_weights(root, name, value):
    path = root / "weights.safetensors"
    tensors = safetensors.read(path)
    tensors = {n: np.array(x) for n, x in tensors.items()}
    tensors[name].flat[0] = value
    safetensors.write(path, tensors, {})


def shard(root):
    return next((root / "sets" / "mine" / "1.0.0").glob("*train.array_record*"))


def foreign_class(root):
    path = root / "sets" / "mine" / "1.0.0" / "features.json"
    edit(path, lambda record: record.update(pythonClassName="os.path.Join"))


def one_class(root):
    """The set says that it has a class less than its labels."""
    directory = root / "sets" / "mine" / "1.0.0"
    text = (directory / "features.json").read_text()
    (directory / "features.json").write_text(text.replace('"2"', '"1"'))
    (directory / "label.labels.txt").write_text("cat\n")


def other_selection(root):
    path = root / "selection" / "selection.json"
    edit(path, lambda record: record.update(kept=3))


STEP = "student/checkpoints/4"
EPOCH = "cache/00000"
# What is planted -> how, where it is looked for, what is said.
FAULTS = {
    "config cut": (
        lambda root: cut(root / "student/config.json"),
        *("student", r"config.json: is damaged: .* -> Move it away"),
    ),
    "config empty": (
        lambda root: (root / "student/config.json").write_text(""),
        *("student", "config.json: is empty -> Move it away"),
    ),
    "config gone": (
        lambda root: (root / "student/config.json").unlink(),
        *("student", "config.json: is missing -> The same command writes it again"),
    ),
    "config of other keys": (
        lambda root: edit(root / "student/config.json", lambda c: c.update(sed=1)),
        *("student", r"config.sed is not read; .* Did you mean seed\?"),
    ),
    "config of another type": (
        lambda root: edit(root / "student/config.json", lambda c: c.update(data=[3])),
        *("student", r"config.json: is damaged: data is \[3\]; expected dict"),
    ),
    "config of another run": (
        lambda root: edit(
            root / "student/config.json", lambda c: c["method"].update(temperature=2.0)
        ),
        *("student", "another run than the newest .*kd: method.temperature is 4.0 and"),
    ),
    "arrays of the newest step flipped": (
        lambda root: flip(largest(root / STEP)),
        *("student", f"{STEP}: is damaged: .* -> .* goes on from step 2 and sets"),
    ),
    "arrays of an older step flipped": (
        lambda root: flip(largest(root / "student/checkpoints/2")),
        *("student", r"checkpoints/2: is damaged: .* -> Training does not need it"),
    ),
    "an item of a step gone": (
        lambda root: shutil.rmtree(root / STEP / "training"),
        *("student", f"{STEP}: is damaged: training"),
    ),
    "identity of a step cut": (
        lambda root: cut(root / STEP / "meta/metadata"),
        *("student", f"{STEP}: is damaged: meta, which says what it is"),
    ),
    "scores of a step cut": (
        lambda root: cut(root / STEP / "metrics/metrics"),
        *("student", f"{STEP}: is damaged: its scores cannot be read"),
    ),
    "all steps flipped": (
        lambda root: [flip(largest(root / f"student/checkpoints/{n}")) for n in (2, 4)],
        *("student", f"{STEP}: is damaged: .* -> Begin anew in another --workdir"),
    ),
    "NaN weights": (
        lambda root: import_bad(root, "kernel", np.nan),
        *("imported", r"checkpoints/0: is damaged: \d+ arrays hold NaN or infinity"),
    ),
    "a variance below 0": (
        lambda root: import_bad(root, "var", -1.0),
        *("imported", r"\d+ arrays are variances below 0, first .*'var'"),
    ),
    "a row cut": (
        lambda root: cut(root / "student/metrics.jsonl", 0.7),
        *("student", r"metrics.jsonl: line \d is no row: Unterm"),
    ),
    "rows gone": (
        lambda root: (root / "student/metrics.jsonl").unlink(),
        *("student", "metrics.jsonl: is missing, and there are checkpoints"),
    ),
    "a row twice": (
        lambda root: edit_rows(root, lambda rows: [rows[0], *rows]),
        *("student", r"has two train/\.\.\. rows of step 1 -> Did two processes"),
    ),
    "rows out of order": (
        lambda root: edit_rows(root, lambda rows: [*rows[3:], *rows[:3]]),
        *("student", r"goes back to step 1 in its train/\.\.\. rows"),
    ),
    "a row missing": (
        lambda root: edit_rows(root, lambda rows: [r for r in rows if r["step"] != 3]),
        *("student", r"has no train/\.\.\. row of step 3 -> Figures"),
    ),
    "a row changed": (
        lambda root: edit_rows(root, set_top1(99.0)),
        *("student", r"step 4: eval/kd/top1 is 99.0 and in its checkpoint \d"),
    ),
    "a last evaluation of NaN": (
        lambda root: edit_rows(root, set_top1(None)),
        *("student", r"step 4, the last evaluation: eval/kd/top1 is not finite"),
    ),
    "many skipped steps": (
        lambda root: edit_rows(root, skip_steps),
        *("student", "kd: 1 of 4 steps were skipped, as not finite -> Lower the"),
    ),
    "summary cut": (
        lambda root: cut(root / "student/summary.json"),
        *("student", "summary.json: is damaged: .* -> .* goes on from the"),
    ),
    "summary of NaN": (
        lambda root: edit(
            root / "student/summary.json",
            lambda s: s["students"]["kd"]["metrics"].update(top1=float("nan")),
        ),
        *("student", "kd.top1 of the last evaluation is not a finite number"),
    ),
    "summary of another state": (
        lambda root: shutil.copy(root / "teacher/summary.json", root / "student"),
        *("student", "summary.json: is of another state than the newest checkpoint"),
    ),
    "summary without checkpoints": (
        lambda root: shutil.rmtree(root / "student/checkpoints"),
        *("student", "says that the run is finished, and no checkpoint"),
    ),
    "teacher of other weights": (
        other_teacher,
        *("student", "teacher: .* has digest .*: other weights -> Bring it back"),
    ),
    "teacher gone": (lose_teacher, "student", "teacher: .* cannot be read: .* no ch"),
    "a pixel of the images": (
        change_pixel,
        *("student", "data: .*set.npz train is not that of the run .*sha256"),
    ),
    "cache: a bit": (
        lambda root: flip(root / EPOCH / "logits.npy"),
        *("cache", "00000: .*logits.npy differs from its checksum"),
    ),
    "cache: an epoch cut": (
        lambda root: cut(root / EPOCH / "logits.npy"),
        *("cache", r"00000: logits.npy has \d+ bytes; expected \d+"),
    ),
    "cache: an epoch gone": (
        lambda root: shutil.rmtree(root / "cache/00000"),
        *("cache", "lacks 1 of 1 epochs, first 0"),
    ),
    "cache: manifest cut": (
        lambda root: cut(root / "cache/manifest.json"),
        *("cache", "manifest.json: .* is damaged"),
    ),
    "cache: other teacher": (other_teacher, "cache", "its teacher, .* has other weig"),
    "selection: other counts": (
        other_selection,
        *("selection", "does not describe selection.npz: in both, kept is 3 and 64"),
    ),
    "selection: cut": (
        lambda root: cut(root / "selection/selection.npz"),
        *("selection", "selection.npz is not what `python -m kdjax select` wrote"),
    ),
    "imported: other weights": (
        lambda root: edit(
            root / "imported/imported.json", lambda r: r["imported"].update(digest="1")
        ),
        *("imported", "is of other weights than the checkpoint: imported.digest"),
    ),
    "set: a shard gone": (
        lambda root: shard(root).unlink(),
        *("sets", "1.0.0 train: lacks 1 of its files"),
    ),
    "set: a shard cut": (
        lambda root: cut(shard(root)),
        *("sets/mine/1.0.0", r"1.0.0 train: .* cannot be read \(the record is"),
    ),
    "set: a shard flipped": (
        lambda root: flip(shard(root), 200),
        *("sets/mine/1.0.0", r"1.0.0 train: .* cannot be"),
    ),
    "set: description cut": (
        lambda root: cut(root / "sets/mine/1.0.0/dataset_info.json"),
        *("sets/mine/1.0.0", "dataset_info.json: is damaged"),
    ),
    "set: a class less": (one_class, "sets/mine/1.0.0", r"label\[\d+\] is 1; expected"),
    "set: code in its description": (
        foreign_class,
        *("sets", "names the class 'os.path.Join' in features.json, which reading"),
    ),
    "npz: a label out of range": (
        lambda root: edit_arrays(root, test_label=lambda x: x + 2),
        *("set.npz", r"set.npz test: .*test_label\[8\] is 10; expected 0 to 9"),
    ),
    "npz: a bit": (
        lambda root: flip(root / "set.npz"),
        *("set.npz", "set.npz train: .*cannot be read as a file of arrays"),
    ),
    "npz: black images": (
        lambda root: edit_arrays(root, train_image=np.zeros_like),
        *("set.npz", "set.npz train: all pixels are the same"),
    ),
    "npz: a class twice": (
        lambda root: edit_arrays(
            root, class_names=lambda names: np.array(["b", *CLASSES[1:]])
        ),
        *("set.npz", "has the class 'b' twice"),
    ),
    "weights: NaN": (
        lambda root: edit_weights(root, "fc.weight", np.nan),
        *("weights.safetensors", "1 tensors hold NaN or infinity, first fc.weight"),
    ),
    "weights: a variance below 0": (
        lambda root: edit_weights(root, "bn1.running_var", -1),
        *("weights.safetensors", "1 variances are below 0, first bn1.running_var"),
    ),
    "weights: a pointer": (
        lambda root: (root / "weights.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\n"
        ),
        *("weights.safetensors", "is not a file of weights but a pointer of git-lfs"),
    ),
    "weights: a page": (
        lambda root: (root / "weights.safetensors").write_text("<!DOCTYPE html>"),
        *("weights.safetensors", "is not a file of weights but a web page"),
    ),
    "weights: cut": (
        lambda root: cut(root / "weights.safetensors"),
        *("weights.safetensors", "not a safetensors file that NumPy can read"),
    ),
    "nothing there": (lambda root: None, "gone", "there is no such file or directory"),
    "something else": (
        lambda root: (root / "gone").write_text("?"),
        *("gone", "is nothing that kdjax writes -> Expected the --workdir of"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_has_its_own_sentence(root, name):
    plant, path, sentence = FAULTS[name]
    plant(root)
    lines = problems(root / path)
    assert any(re.search(sentence, line, re.DOTALL) for line in lines), lines
    assert all(line.rpartition("-> ")[2] for line in lines)  # what to do


def test_notes_are_no_problems(root, quick=False):
    """What is worth knowing, and needs no mending."""
    steps = root / "student" / "checkpoints"
    (steps / "6.damaged").mkdir()
    (steps / "8.orbax-checkpoint-tmp").mkdir()
    (root / "student" / "summary.json").unlink()
    (root / "student" / "unreadable.json").write_text('{"a.jpg": "cut"}')
    edit(root / "student/config.json", lambda config: config.update(stacked=True))
    findings = look(root / "student")
    notes = texts(findings, NOTE)
    for sentence in (
        "6.damaged: was set aside as damaged by an earlier start",
        "8.orbax-checkpoint-tmp: is of a save that is under way",
        "is not finished; it is at step 4 -> The same command goes on from there",
        "1 images could not be read",
        "is of an earlier version: stacked is not read any more",
    ):
        assert any(sentence in line for line in notes), (sentence, notes)
    assert not texts(findings, PROBLEM)


def test_a_directory_that_is_held_names_the_process(root):
    workdir = root / "student"
    with (workdir / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        notes = texts(look(workdir, quick=True), NOTE)
    assert any(f"is held by process {os.getpid()}" in line for line in notes)


def test_log_every_steps_may_have_changed(root):
    """Rows every two steps, and then at each, as the config has it now."""

    def every_two(rows):
        return [row for row in rows if row["step"] % 2 == 0]

    edit_rows(root, every_two)
    findings = look(root / "student", quick=True)
    assert not texts(findings, PROBLEM)
    assert any("every 2 steps there" in line for line in texts(findings, NOTE))


def test_a_stranger_s_network_is_not_called(root, tmp_path):
    """The names in a workdir are compared and never imported."""
    marker = tmp_path / "called"
    path = root / "teacher/checkpoints/4/meta/metadata"

    def name_code(meta):
        meta["students"]["ce"]["model"] = {
            "name": "os:system",
            "command": f"touch {marker}",
        }

    edit(path, name_code)
    lines = problems(root / "teacher")
    assert any("os:system" in line for line in lines)  # of another config
    look(root / "student")
    assert not marker.exists()


def test_a_sweep_is_its_trials(root):
    sweep = root / "sweep"
    sweep.mkdir()
    shutil.copytree(root / "student", sweep / "a")
    (sweep / "a" / "DONE").write_text('{"ran": "programs/1"}')
    (sweep / "b").mkdir()
    (sweep / "b" / "FAILED").write_text("not finite\n")
    (one,) = examine([sweep])[:-1]
    assert one.kind == "sweep"
    assert any("failed: not finite" in line for line in texts(one.findings, NOTE))
    (line,) = texts(one.findings, PROBLEM)
    assert re.search("a: was trained in .*programs/1, which is not there", line)


def test_a_directory_of_the_run_stands_for_the_run(root):
    for name in ("student/config.json", "student/checkpoints"):
        (one,) = examine([root / name], quick=True)[:-1]
        assert one.kind == "run"


def test_an_empty_directory_is_said(tmp_path):
    assert texts(look(tmp_path), NOTE) == [f"{tmp_path}: is empty -> "]
