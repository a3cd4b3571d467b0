"""A set of more files than a process may have open, as ImageNet is on most systems."""

import contextlib
import os
import resource

import pytest

from kdjax.contracts import exit_code_of
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.split import DataError
from kdjax.data.tfds import file_limits
from kdjax.data.tfds.records import open_split
from kdjax.datasets import sharded_writer
from kdjax.datasets.folder_builder import prepare_folder
from tests.datasets.miniature_imagenet import tiny, write_folder

FILES = 40
CROPS = Geometry(size=8, short_side=8)


class Shards:
    """A file for each picture."""

    def get_number_shards(self, size, count):
        return count


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    where = tmp_path_factory.mktemp("many")
    files = {f"{i}.JPEG": tiny(i) for i in range(FILES)}
    write_folder(where / "in", {"train": {"a": files}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharded_writer, "ShardConfig", Shards)
        prepare_folder("mine", where / "in", data_dir=where, skip_at_most=0)
    return where


@pytest.fixture
def few(prepared):
    """Allows this process some files less than the set has; what is raised stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    limit = highest + FILES // 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield prepared
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_is_raised_for_a_set_of_many_files(few):
    split = load_split("mine", "train", data_dir=few, crops=CROPS)
    assert split.image[:].shape == (FILES, 8, 8, 3)
    assert len(split.image.opened.files()) == FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == min(hard, 8192) or hard == resource.RLIM_INFINITY


def test_a_limit_that_cannot_be_raised_is_told(few, monkeypatch):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(file_limits, "OTHERS", 1 << 31)
    if hard != resource.RLIM_INFINITY:
        expected = (
            rf"1.0.0, train: lies in {FILES} files.* `ulimit -n {FILES + (1 << 31)}"
        )
        with pytest.raises(DataError, match=expected):
            open_split("mine", "train", few)


def test_what_the_system_refuses_is_no_damage(few, monkeypatch):
    monkeypatch.setattr(file_limits, "allow", lambda *_: None)
    opened = open_split("mine", "train", few)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            while True:
                held.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(DataError, match="Too many open files.* in order") as output:
            opened.read_record(0)
    assert "Delete" not in str(output.value)
    for error in (OSError(5, "Input/output error"), RuntimeError("read() failed: I/O")):
        refused = file_limits.failure("it cannot be read", error, "here")
        assert "Delete" not in str(refused) and exit_code_of(refused) == 4
    damaged = file_limits.failure("it", RuntimeError("hash\nmismatch"), "here")
    text = "it (RuntimeError: hash mismatch). Delete here and prepare the set anew."
    assert str(damaged) == text and exit_code_of(damaged) == 2
