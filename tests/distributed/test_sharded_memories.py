"""Memories that are divided over the devices of two processes: saved and restored."""

import json
import shutil

import numpy as np
import pytest

from tests.distributed.jobs import RECORDED, Job, by_hand, read_records, write
from tests.distributed.test_runtime import assert_same, images, students, timeless


def banks(root):
    """CRD's banks of 96 samples, 64 rows on each of four devices, beside a queue."""
    config = students(root)
    config.checkpoint.every_minutes = 0.0  # saved with each evaluation alone
    crd = {"name": "crd", "negatives": 32, "width": 8}
    queue = {"name": "queue_kl", "queue_length": 64}
    config.students = {"crd": {"method": crd}, "queue": {"method": queue}}
    return config


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("banks")
    arrays = {}
    for split, count in (("train", 96), ("test", 37)):
        arrays[f"{split}_image"], arrays[f"{split}_label"] = images(count, count)
    np.savez(root / "set.npz", **arrays)
    write(root / "config.py", banks(root))
    return root


def start(root, workdir, devices, flags=None, **request):
    """A recorded run in so many processes as there are flags."""
    request = json.dumps(request | {"out": str(root / f"{workdir}.record")})
    words = ["train", f"--config={root / 'config.py'}", f"--workdir={root / workdir}"]
    words.append(f"--devices={devices}")
    return Job(root, words, flags=flags, module=RECORDED, RECORD=request)


def records(root, workdir, count=2):
    return read_records(root / f"{workdir}.record", count)


@pytest.fixture(scope="module")
def whole(root):
    start(root, "whole", 2, by_hand(2)).check()
    return records(root, "whole")


@pytest.fixture(scope="module")
def stopped(root):
    """A run that SIGTERM to the second of two processes stops in its second epoch."""
    job = start(root, "stopped", 2, by_hand(2), at=7, signal="SIGTERM", slow=0.3)
    assert job.codes() == [42, 42], job.text()
    first, second = records(root, "stopped")
    assert first == second and 8 <= first["saved"][0] < 12
    return first["saved"]


@pytest.mark.long
def test_two_processes_go_on_bit_for_bit(root, whole, stopped):
    shutil.copytree(root / "stopped", root / "two")
    start(root, "two", 2, by_hand(2)).check()
    for row, wanted in zip(records(root, "two"), whole, strict=True):
        assert row["restored"] == stopped
        assert row["saved"] == wanted["saved"] and row["saved"][0] == 12
    assert timeless(root / "two") == timeless(root / "whole")


@pytest.mark.long
def test_one_process_goes_on_with_what_two_saved(root, whole, stopped):
    shutil.copytree(root / "stopped", root / "one")
    start(root, "one", 4, [[]]).check()
    (row,) = records(root, "one", 1)
    assert row["restored"] == stopped
    assert_same(timeless(root / "one"), timeless(root / "whole"))


def cut_rows(step):
    """What the second process wrote: the first one reads none of it."""
    written = (step / "training" / "ocdbt.process_1" / "d").iterdir()
    max(written, key=lambda path: path.stat().st_size).write_bytes(b"")


def change_checksum(step):
    path = step / "meta" / "metadata"
    meta = json.loads(path.read_text())
    meta["checksums"]["training"][0] ^= 1
    del meta["checksum"]
    path.write_text(json.dumps(meta))


@pytest.mark.long
@pytest.mark.parametrize(
    ("damage", "reason"),
    (
        (cut_rows, "StorageError: another process cannot read it"),
        (change_checksum, "StorageError: step {}: 1 arrays differ"),
    ),
)
def test_both_fall_back_to_the_step_before(root, whole, stopped, damage, reason):
    workdir, step = f"damaged-{damage.__name__}", stopped[0]
    shutil.copytree(root / "stopped", root / workdir)
    damage(root / workdir / "checkpoints" / str(step))
    job = start(root, workdir, 2, by_hand(2))
    assert job.codes(200) == [0, 0], job.text()
    expected = f"checkpoint {step} is damaged ({reason.format(step)}"
    assert expected in job.logs[0].read_text()
    assert (root / workdir / "checkpoints" / f"{step}.damaged").is_dir()
    for row, wanted in zip(records(root, workdir), whole, strict=True):
        assert row["restored"][0] == 6 and row["saved"] == wanted["saved"]
