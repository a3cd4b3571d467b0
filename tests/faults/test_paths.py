"""A path that a user gives is one here or in a bucket, or is refused in a sentence."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from kdjax import paths
from kdjax.__main__ import main
from kdjax.contracts import InputError

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = """
from ml_collections import ConfigDict
from kdjax.experiment import schema

def get_config(arg=""):
    config = schema.base()
    config.data.name, config.data.train, config.data.test = "t.npz", "train", "test"
    config.data.mean, config.data.std = (0.5,), (0.25,)
    config.data.padding, config.data.flip = 0, False
    config.batch_size, config.total_epochs = 16, 1.0
    config.model = ConfigDict({"name": "tests.networks:tiny", "width": 4})
    config.method = ConfigDict({"name": "ce"})
    return config
"""
KD = ["--config.method={'name': 'kd', 'alpha': 0.9, 'temperature': 4.0}"]
RUN = ["--config=config.py", "--data_dir=.", "--workdir=run"]
IMPORT = ["--model=resnet18", "--image_shape=8,8,1", "--mean=0.5", "--std=0.5"]
# {} is the path.
REQUIRED = {
    "train --workdir": ["train", *RUN, "--workdir={}"],
    "sweep --workdir": ["sweep", *RUN, "--workdir={}", "--grid.seed=0,1"],
    "sweep --trials": ["sweep", *RUN, "--trials={}"],
    "select --workdir": [
        "select",
        *RUN,
        "--workdir={}",
        "--config.select={'name': 'fine'}",
    ],
    "cache --workdir": ["cache", *RUN, "--workdir={}"],
    "evaluate --workdir": ["evaluate", "--workdir={}"],
    "report WORKDIR": ["report", "{}", "--output=out"],
    "report --output": ["report", ".", "--output={}"],
    "analyse WORKDIR": ["analyse", "{}", "--output=out"],
    "analyse --output": ["analyse", ".", "--output={}"],
    "export WORKDIR": ["export", "{}", "--format=safetensors", "--output=out"],
    "export --output": ["export", ".", "--format=safetensors", "--output={}"],
    "import --workdir": ["import", "weights.safetensors", *IMPORT, "--workdir={}"],
    "import FILE": ["import", "{}", *IMPORT, "--workdir=run"],
    "prepare --data_dir": ["prepare", "cifar10", "--data_dir={}"],
    "prepare --npz": ["prepare", "cifar10", "--data_dir=.", "--npz={}"],
    "prepare --archives": ["prepare", "cifar10", "--data_dir=.", "--archives={}"],
    "prepare --folder": ["prepare", "mine", "--data_dir=.", "--folder={}"],
    "prepare --tfrecord": ["prepare", "mine", "--data_dir=.", "--tfrecord={}"],
}
# Empty means the default, or none.
OPTIONAL = {
    "train --data_dir": ["train", *RUN, "--data_dir={}"],
    "train data.data_dir": ["train", *RUN[::2], "--config.data.data_dir={}"],
    "train data.keep": ["train", *RUN, "--config.data.keep={}"],
    "train data.noise": [
        *("train", *RUN),
        "--config.data.noise={'name': 'file', 'path': '{}'}",
    ],
    "train initial.workdir": ["train", *RUN, "--config.initial.workdir={}"],
    "train teacher.workdir": ["train", *RUN, *KD, "--config.teacher.workdir={}"],
    "compile --data_dir": ["compile", "--config=config.py", "--data_dir={}"],
    "bench --data_dir": ["bench", "--input-only", "--data=cifar10", "--data_dir={}"],
    "reproduce --runs": ["reproduce", "cifar100", "--runs={}"],
    "reproduce --data": ["reproduce", "cifar100", "--data={}"],
    "reproduce --data_dir": ["reproduce", "cifar100", "--data_dir={}"],
    "reproduce --results": ["reproduce", "cifar100", "--results={}"],
}
BAD = {
    "scheme": ("hdfs://cluster/x", "expected a local path, gs://BUCKET/PATH or s3://"),
    "user": ("~nobody_here/x", "there is no such home directory"),
    "long": ("x" * 300, "a name of 300 bytes"),
}
# These stay on this machine.
LOCAL = {
    "prepare --archives",
    "prepare --folder",
    "prepare --tfrecord",
    "reproduce --runs",
    "reproduce --results",
}
# The schema refuses a long name in these before any file is looked for.
BY_SCHEMA = {
    "train data.data_dir",
    "train data.keep",
    "train data.noise",
    "train initial.workdir",
    "train teacher.workdir",
    "compile --data_dir",
}


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """A data set and a config, in the current directory."""
    monkeypatch.chdir(tmp_path)
    # The tests' devices may be in use already.
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 1)
    random, label = np.random.default_rng(0), np.arange(32, dtype=np.int32) % 4
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_label"] = label
        arrays[f"{split}_image"] = random.integers(0, 256, (32, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "t.npz", **arrays)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    return tmp_path


def run(words, path):
    return main([word.replace("{}", path) for word in words])


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("option", [*REQUIRED, *OPTIONAL])
def test_no_local_path(option, kind, capsys, directory):
    path, message = BAD[kind]
    if kind == "long" and option in BY_SCHEMA:
        message = ", of names of at most 255 bytes"
    if kind == "scheme" and option in LOCAL:
        message = "expected a path on this machine"
    assert run((REQUIRED | OPTIONAL)[option], path) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert option.split()[1].strip("-").split(".")[0] in error
    assert not list(directory.glob("hdfs:*")) and not list(directory.glob("~*"))


@pytest.mark.parametrize("option", sorted((REQUIRED | OPTIONAL).keys() - LOCAL))
def test_a_bucket_without_its_package(option, capsys, monkeypatch, directory):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "s3fs" else find(name)
    )
    assert run((REQUIRED | OPTIONAL)[option], "s3://bucket/x") == 2
    error = capsys.readouterr().err
    assert "s3fs, which reads such buckets, is not installed" in error
    assert "pip install s3fs (kdjax's extra s3)" in error and "Traceback" not in error
    assert not list(directory.glob("s3:*"))


@pytest.mark.parametrize("path", ["", *(path for path, _ in BAD.values())])
def test_no_config(path, capsys):
    assert run(["train", *RUN, "--config={}"], path) == 2
    assert capsys.readouterr().err.startswith("kdjax train: --config")


@pytest.mark.parametrize("option", REQUIRED)
def test_an_empty_path(option, capsys):
    assert run(REQUIRED[option], "") == 2
    assert "is empty; expected a path" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["prepare", "--help"], ["prepare", "{}", "--data_dir=d"]]
)
def test_no_home_directory(words, directory):
    """What `docker run --user 12345` gives: no HOME, and no entry for the user."""
    (directory / "sitecustomize.py").write_text(
        "import os, pwd\nos.environ.pop('HOME', None)\n"
        "def getpwuid(uid): raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
    )
    words = [word.format("fashion_mnist_subset") for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "kdjax", *words],
        env=os.environ | {"PYTHONPATH": f"{directory}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_no_home_directory_where_one_is_needed(directory, monkeypatch, capsys):
    def getpwuid(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setattr("pwd.getpwuid", getpwuid)
    assert main(["prepare", "cifar10"]) == 2
    assert "--data_dir is '~/tensorflow_datasets'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["C:/x", "a:b", "run [lr=0.1]", "x*?", "~", "é" * 127])
def test_what_is_a_path(text):
    for parse in (paths.parse, paths.local):
        assert parse(text, "--workdir") == pathlib.Path(text).expanduser()


NO_BUCKETS = ["gs:/b", "gs://", "gs:///x", "http://b/x", "gcs://b/x", "S3://b"]


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "é" * 128, *NO_BUCKETS])
def test_what_is_none(text):
    for parse in (paths.parse, paths.local):
        with pytest.raises(InputError, match="^--workdir (is|has) "):
            parse(text, "--workdir")
