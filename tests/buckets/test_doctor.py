"""The doctor looks at what is in a bucket, and leaves it as it is."""

import pytest

from kdjax import paths
from kdjax.__main__ import main
from kdjax.doctor import examine
from kdjax.doctor.findings import PROBLEM
from kdjax.paths import files
from tests.buckets.commands import train

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def problems(monkeypatch):
    monkeypatch.setattr(examine, "examine_machine", lambda paths: iter(()))

    def look(path):
        one, _ = examine.examine([path])
        assert one.kind
        return [f"{f.where}: {f.text}" for f in one.findings if f.level == PROBLEM]

    return look


def objects(where) -> dict:
    bucket, name = files.filesystem(where)
    return {one: bucket.info(one).get("etag") for one in bucket.find(name)}


def test_a_run_in_a_bucket_whole_and_damaged(where, problems):
    assert main(train(where)) == 0
    before = objects(where)
    assert problems(where) == []
    assert objects(where) == before
    bucket, name = files.filesystem(where)
    steps = sorted(int(p.name) for p in (where / "checkpoints").iterdir())
    newest = f"{name}/checkpoints/{steps[-1]}"
    largest = max(bucket.find(newest), key=lambda one: bucket.info(one)["size"])
    content = bytearray(bucket.cat_file(largest))
    content[len(content) // 2] ^= 1
    bucket.pipe_file(largest, bytes(content))
    bucket.pipe_file(f"{name}/summary.json", b"{")
    lines = "\n".join(problems(where))
    assert f"checkpoints/{steps[-1]}: is damaged" in lines
    assert "summary.json: the summary is damaged" in lines


def test_a_set_in_a_bucket(bucket, problems):
    assert problems(paths.parse(f"{bucket}/data/t.npz", "PATH")) == []
