"""Memories that are divided over the devices of two processes: saved and restored."""

import json
import shutil

import numpy as np
import pytest

from kdjax.reporting.reporter import read_rows
from tests.distributed.jobs import RECORDED, Job, by_hand, read_records, write
from tests.distributed.test_runtime import assert_same, images, students, timeless


def banks(root):
    """CRD's banks of 96 samples, 64 rows on each of four devices, beside a queue."""
    config = students(root)
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


def test_two_processes_go_on_bit_for_bit(root, whole, stopped):
    shutil.copytree(root / "stopped", root / "two")
    start(root, "two", 2, by_hand(2)).check()
    for row, wanted in zip(records(root, "two"), whole, strict=True):
        assert row["restored"] == stopped
        assert row["saved"] == wanted["saved"] and row["saved"][0] == 12
    assert timeless(root / "two") == timeless(root / "whole")


def test_one_process_goes_on_with_what_two_saved(root, whole, stopped):
    shutil.copytree(root / "stopped", root / "one")
    start(root, "one", 4, [[]]).check()
    (row,) = records(root, "one", 1)
    assert row["restored"] == stopped
    assert_same(timeless(root / "one"), timeless(root / "whole"))
