"""Which records of runs may lie together in a directory."""

import pytest

from kdjax.contracts import InputError
from kdjax.reporting.files import replace_record
from kdjax.reproduce import records, tables
from kdjax.reproduce.plans import Pair, Run
from tests.reproduce import stored

STUDY = "fashion_mnist-teachers"


def add(root, machine, weights, run="rules-noisy-seed0", dtype="float32"):
    """A finished run of a machine, with weights of a digest, recorded below `root`."""
    workdir = root / machine / run
    workdir.mkdir(parents=True)
    own = stored.record(STUDY, run, 0, {"kd": 70.0}, dtype=dtype)
    own["students"]["kd"]["digest"] = weights
    replace_record(workdir / records.RECORD, own)
    one = Run(run, {"select": {}}, Pair("noisy", "student"))
    records.add(STUDY, "command", root / "results", lambda *_: None, one, workdir)


def test_a_run_of_other_weights_is_refused_and_the_same_ones_are_kept(tmp_path):
    add(tmp_path, "here", "a")
    add(tmp_path, "twin", "a")
    add(tmp_path, "here", "b", run="rules-noisy-seed01")
    add(tmp_path, "half", "c", dtype="bfloat16")  # has rows of its own
    first = sorted((tmp_path / "results").iterdir())
    assert len(first) == len(tables.read(STUDY, tmp_path / "results")) == 3
    message = "-rules-noisy-seed0-[0-9a-f]+.json records the same run with other weight"
    with pytest.raises(InputError, match=message):
        add(tmp_path, "other", "d")
    assert sorted((tmp_path / "results").iterdir()) == first
