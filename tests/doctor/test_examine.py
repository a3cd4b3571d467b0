"""Planted faults: each has its own sentence, and what is whole has none."""

import fcntl
import json
import os
import pathlib
import re
import shutil
import tarfile
import time
import zipfile

import numpy as np
import pytest

from kdjax.checkpoints import aside
from kdjax.doctor import weight_files
from kdjax.doctor.examine import examine
from kdjax.doctor.findings import NOTE, OK, PROBLEM
from kdjax.doctor.holder import _lease as lease
from kdjax.doctor.report import count
from kdjax.doctor.sets import examine_pixels
from kdjax.doctor.states import examine_steps
from kdjax.paths.json_files import parse_json
from kdjax.runner import changes
from tests.doctor.conftest import KINDS
from tests.doctor.planting import (
    content,
    cut,
    edit,
    edit_rows,
    flip,
    look,
    problems,
    texts,
)

STORED = pathlib.Path(__file__).parent.parent / "stored" / "version_before.tar.xz"


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


def test_notes_are_no_problems(root, quick=False):
    """What is worth knowing, and needs no mending."""
    steps = root / "student" / "checkpoints"
    (steps / "6.damaged").mkdir()
    (steps / "8.orbax-checkpoint-tmp").mkdir()
    (steps / "4.replaced").mkdir()
    (root / "student" / "summary.json").unlink()
    (root / "student" / "unreadable.json").write_text('{"a.jpg": "cut"}')
    edit(root / "student/config.json", lambda config: config.update(stacked=True))
    findings = look(root / "student")
    notes = texts(findings, NOTE)
    for sentence in (
        "6.damaged: was set aside as damaged by an earlier start",
        "8.orbax-checkpoint-tmp: is of a save that is under way",
        "4.replaced: waits for the state that takes its place: a save is under way",
        "is not finished; it is at step 4 -> The same command goes on from there",
        "1 images could not be read",
        "is of an earlier version: stacked is not read any more",
    ):
        assert any(sentence in line for line in notes), (sentence, notes)
    assert not texts(findings, PROBLEM)


def test_a_step_that_waits_is_a_checkpoint(tmp_path):
    """The next start gives it back: it does not begin anew."""
    (tmp_path / f"4{aside.REPLACED}").mkdir()
    (finding,) = examine_steps(tmp_path, quick=True)
    assert finding.level == NOTE
    assert finding.advice == "Nothing: the next start gives it back, or deletes it."


def test_a_change_that_was_allowed_is_a_note(root):
    path = root / "student/config.json"
    edit(path, lambda config: config["method"].update(temperature=2.0))
    (root / "student" / changes.FILE).write_text("{}")
    lines = texts(look(root / "student", quick=True), NOTE)
    assert any(f"-> {changes.FILE} says which changes" in line for line in lines)


def test_a_damaged_step_is_one_problem(root):
    """Its scores hide no other step, and nothing is compared with an older one."""
    cut(root / "student/checkpoints/4/metrics/metrics")
    lines = problems(root / "student")
    assert len(lines) == 1, lines
    (line,) = lines
    assert "checkpoints/4: its scores cannot be read" in line


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


def test_several_runs_in_a_directory_are_looked_at_one_by_one(root):
    (root / "runs").mkdir()
    for name in ("teacher", "cache"):
        shutil.copytree(root / name, root / "runs" / name)
    cut(root / "runs/cache/manifest.json")
    (one,) = examine([root / "runs"], quick=True)[:-1]
    assert one.kind == "directory of them"
    (line,) = texts(one.findings, PROBLEM)
    assert "runs/cache/manifest.json" in line
    assert any("runs/teacher/summary.json" in finding.where for finding in one.findings)


def test_stages_are_runs_and_selections(root):
    staged = root / "staged"
    shutil.copytree(root / "selection", staged / "first")
    shutil.copytree(root / "student", staged / "second")
    config = parse_json((staged / "second" / "config.json").read_bytes())
    config |= {"stages": {n: {} for n in ("first", "second", "third")}}
    config |= {"order": list(config["stages"])}
    (staged / "config.json").write_text(json.dumps(config))
    flip(staged / "first" / "selection.npz")
    cut(staged / "second" / "summary.json")
    findings = look(staged, quick=True)
    first, second = texts(findings, PROBLEM)
    assert "first/selection.npz" in first and "second/summary.json" in second
    (line,) = texts(findings, NOTE)
    assert "third: this stage has not begun" in line


def test_a_lease_of_a_bucket_is_shown(tmp_path):
    path = tmp_path / ".lock"
    path.write_text('{"host": "node7", "pid": 42, "token": "x"}')
    os.utime(path, (time.time() - 100,) * 2)
    assert re.match(r"is held by process 42 on node7, who .* 1\d\d s", lease(path).text)
    for text in ("[]", "[" * 100_000, '{"host": "node7"}'):
        path.write_text(text)
        assert "a process that its text does not name" in lease(path).text


def test_images_far_from_the_published_ones_are_other_images():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(8)]
    (finding,) = examine_pixels("x", images, "cifar10/3.0.2")  # of deviation 0.289
    assert finding.level == OK
    bright = [image // 2 + 128 for image in images]
    (finding,) = examine_pixels("x", bright, "cifar10/3.0.2")
    assert finding.level == PROBLEM and "has mean 0.491, 0.482" in finding.text
    (finding,) = examine_pixels("x", bright, "my_set")
    assert finding.level == OK


def write_archive(path, name="archive/data.pkl"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(1000))


@pytest.mark.parametrize(
    "content, level, sentence",
    (
        (
            "archive/data.pkl",
            NOTE,
            "has all its parts, each as it was written -> Install torch",
        ),
        (
            "archive/other",
            PROBLEM,
            "without weights: it has archive/other, archive/data/0",
        ),
        (b"\x80\x02}q\x00.", NOTE, "is of PyTorch before 1.6, which has no checksums"),
        (b"what is it", PROBLEM, "is neither a file of PyTorch nor whole"),
        (b"", PROBLEM, "it is empty"),
    ),
)
def test_files_of_pytorch_without_it(tmp_path, monkeypatch, content, level, sentence):
    """Nothing is unpickled: the container says whether it is whole."""
    monkeypatch.setattr(weight_files, "_has_torch", lambda: False)
    path = tmp_path / "weights.pth"
    if isinstance(content, str):
        write_archive(path, content)
    else:
        path.write_bytes(content)
    (line,) = texts(look(path), level)
    assert sentence in line


def test_a_flipped_bit_in_a_file_of_pytorch(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "_has_torch", lambda: False)
    path = tmp_path / "weights.pth"
    write_archive(path)
    flip(path, path.read_bytes().index(bytes(500)))
    (line,) = problems(path)
    assert "archive/data/0 differs from its checksum" in line


def test_what_the_version_before_wrote_has_no_problem(tmp_path):
    """But for places that are other ones now: it lay below /data."""
    with tarfile.open(STORED) as packed:
        packed.extractall(tmp_path, filter="data")
    (one,) = examine([tmp_path / "runs"], quick=True)[:-1]
    assert not texts(one.findings, PROBLEM)
    for name in ("stopped_ds", "imported", "cache"):
        lines = problems(tmp_path / "runs" / name)
        assert not [line for line in lines if "/data/" not in line]
    edit(tmp_path / "runs/students/config.json", lambda config: config.update(seed=7))
    assert any(
        "seed is 0 and 7" in line for line in problems(tmp_path / "runs/students")
    )


def test_a_directory_of_the_run_stands_for_the_run(root):
    for name in ("student/config.json", "student/checkpoints"):
        (one,) = examine([root / name], quick=True)[:-1]
        assert one.kind == "run"


def test_an_empty_directory_is_said(tmp_path):
    assert texts(look(tmp_path), NOTE) == [f"{tmp_path}: is empty -> "]
