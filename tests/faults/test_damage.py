"""Damaged checkpoints: a fallback each time; and disks that give nothing just now."""

import errno
import gc
import json
import os
import pathlib
import shutil

import jax
import pytest

from kdjax import checkpoints
from kdjax.caching import layout
from kdjax.checkpoints import Checkpointer, StorageError, storage
from kdjax.contracts import exit_code_of
from kdjax.data.tfds import labels
from kdjax.paths import files
from kdjax.runner import workdir
from kdjax.training import sharding
from tests.distributed.jobs import Job, port
from tests.faults import steps

# What Orbax leaves running after a failed read complains when it is collected.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine"
    ),
    pytest.mark.errors,
]


@pytest.fixture(scope="module", autouse=True)
def collected():
    """Not in the tests of other files, which have no such filter."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def mesh():
    return sharding.make_mesh(jax.devices()[:1])


@pytest.fixture(scope="module")
def saved(mesh, tmp_path_factory):
    root = tmp_path_factory.mktemp("saved")
    steps.save(root / "c", mesh)
    return root / "c"


@pytest.fixture
def own(saved, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(saved, tmp_path / "c")
    return tmp_path / "c"


def test_each_file_of_the_newest_step_in_one_of_three_ways(mesh, tmp_path):
    counts = steps.matrix(tmp_path, mesh, every=4)
    # Orbax draws the names of its files, so that which ones are damaged is not settled.
    assert counts["step 1"] > 0 and sum(counts.values()) > 15


@pytest.mark.long
def test_each_file_of_the_newest_step_in_all_three_ways(mesh, tmp_path):
    counts = steps.matrix(tmp_path, mesh)
    print("1x1", counts)
    assert counts["step 1"] > 25 and sum(counts.values()) > 60


def by_two(root, every):
    """The same by two processes of two devices."""
    address = f"127.0.0.1:{port()}"
    rest = [str(root), str(every)]
    flags = [[address, "2", str(number), *rest] for number in range(2)]
    job = Job(root, [], flags=flags, module=("-m", "tests.faults.steps")).check()
    first, second = (json.loads(log.read_text().splitlines()[-1]) for log in job.logs)
    assert first == second
    return first


def test_some_files_by_two_processes(tmp_path):
    assert sum(by_two(tmp_path, every=20).values()) > 4


@pytest.mark.long
def test_each_file_by_two_processes(tmp_path):
    counts = by_two(tmp_path, every=1)
    print("2x2", counts)
    assert counts["step 1"] > 25


@pytest.mark.parametrize("damage", steps.DAMAGES)
def test_damaged_scores_end_no_start(own, mesh, damage, capsys):
    """Orbax reads those of all steps whenever it opens a directory."""
    for step in (1, 2):
        steps.DAMAGES[damage](own / str(step) / storage.METRICS)
    assert steps.restore(own, mesh) == (2, [])
    assert "checkpoint 2: its scores were damaged" in capsys.readouterr().err
    for step in (1, 2):
        text = (own / str(step) / storage.METRICS).read_text()
        assert json.loads(text) == {"flat": {"top1": step}}


def test_scores_and_identity_damaged_at_once(own, mesh, capsys):
    for name in (storage.METRICS, storage.META):
        steps.cut(own / "2" / name)
    step, said = steps.restore(own, mesh)
    assert step == 1 and len(said) == 1
    assert "its scores are damaged, and are lost" in capsys.readouterr().err


def test_a_second_damage_of_the_same_step(own, mesh):
    (own / "2.damaged" / "of before").mkdir(parents=True)
    steps.cut(own / "2" / storage.META)
    assert steps.restore(own, mesh)[0] == 1
    assert (own / "2.damaged" / "meta").is_dir()


def test_checkpoints_of_the_first_versions_have_no_checksums(own, mesh):
    path = own / "2" / storage.META
    meta = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in meta.items() if "checksum" not in k}))
    assert steps.restore(own, mesh) == (2, [])
    checkpoints.read_variables(own, 2, "flat")


def test_another_run_reads_around_a_damaged_identity(own, capsys):
    steps.flip(own / "2" / storage.META)
    meta, best = checkpoints.read_meta(own)
    assert meta["step"] == 1 and best == {"flat": 1}
    assert checkpoints.read_identity(own)["step"] == 1
    assert "checkpoint 2 is damaged" in capsys.readouterr().err
    with pytest.raises(StorageError, match="2 is damaged .*There are also: 1"):
        checkpoints.read_variables(own, 2, "flat")


# What a disk, TensorStore and a bucket say when they give nothing.
REFUSALS = (
    PermissionError(errno.EACCES, "Permission denied"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ESTALE, "Stale file handle"),
    TimeoutError("no answer"),
    ValueError("PERMISSION_DENIED: Error opening [OS error 13: EACCES ...]"),
    ValueError(
        "UNKNOWN: Error reading local file [OS error 5: EIO Input/output error]"
    ),
    ValueError("UNAVAILABLE: HTTP response 503"),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
def test_what_a_disk_refuses_is_no_damage(own, mesh, monkeypatch, refusal):
    existing = sorted(own.rglob("*"))

    def refuse(*_):
        try:
            raise refusal
        except Exception as error:  # Orbax puts errors of its own around it
            raise ValueError("restore failed") from error

    monkeypatch.setattr(storage, "restore", refuse)
    with pytest.raises(StorageError, match="cannot be read now .*no damage") as raised:
        steps.restore(own, mesh)
    assert exit_code_of(raised.value) == 4
    assert sorted(own.rglob("*")) == existing


def test_what_a_library_hides_of_a_refusal_is_seen(own, mesh, monkeypatch):
    """Orbax leaves out metadata that it may not read, and fails later on."""
    monkeypatch.setattr(storage, "restore", lambda *_: {}["metadata"])

    def refuse(directory):
        return PermissionError(errno.EACCES, "Permission denied", str(directory))

    monkeypatch.setattr(files, "refusal", refuse)
    with pytest.raises(StorageError, match="no damage"):
        steps.restore(own, mesh)
    assert not (own / "2.damaged").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permissions_of_a_real_disk(own, mesh):
    (own / "2" / "variables").chmod(0)
    try:
        with pytest.raises(StorageError, match="no damage"):
            steps.restore(own, mesh)
        assert isinstance(files.refusal(own / "2"), PermissionError)
    finally:
        (own / "2" / "variables").chmod(0o700)


def refuse(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_directory_that_cannot_be_listed_is_not_empty(own, tmp_path, monkeypatch):
    """`glob` leaves such directories out: what is there would be written anew."""
    monkeypatch.setattr(os, "listdir", refuse)
    for read in (
        lambda: workdir.has_steps(tmp_path),
        lambda: checkpoints.read_identity(own),
        lambda: layout.missing(tmp_path, 1),
        lambda: Checkpointer(own, ("flat",), steps.META),
    ):
        with pytest.raises(PermissionError):
            read()


def test_labels_that_cannot_be_read_now_are_not_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "open", refuse)
    with pytest.raises(PermissionError):
        labels._load(tmp_path / "labels.npy", 3)


def test_identity_that_cannot_be_read_now_is_not_taken_from_before(own, monkeypatch):
    monkeypatch.setattr(storage, "read_meta", refuse)
    with pytest.raises(StorageError, match="no damage"):
        checkpoints.read_identity(own)


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Else a loss of power leaves an empty file under the name of the old one."""
    order, sync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        order.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    def replaced(old, new):
        order.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with files.written(tmp_path / "a.json") as part:
        part.write_text("{}")
    assert order == [str(part), "rename", str(tmp_path)]
