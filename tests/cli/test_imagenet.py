"""A miniature of ImageNet goes through every command, from its archives to weights."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from kdjax.__main__ import main
from kdjax.datasets.imagenet import Imagenet2012
from tests.datasets.miniature_imagenet import (
    SYNSETS,
    train_pictures,
    validation_pictures,
    write_archives,
)

pytestmark = pytest.mark.usefixtures("as_they_are")
SIZES = {"train": 1000, "validation": 96}
CONFIG = """
from kdjax.experiment import schema
from ml_collections import ConfigDict


def get_config(arg=""):
    config = schema.base()
    config.model.name, config.method.name = "resnet8", "ce"
    config.data.name, config.data.test = "imagenet2012", "validation"
    config.data.feed = "streamed"  # a miniature would fit
    config.data.crops = ConfigDict({"size": 32, "short_side": 40})
    config.batch_size, config.total_steps = 32, 3
    config.evaluation.batch_size, config.evaluation.every_epochs = 48, 0.0
    config.log_every_steps, config.tensorboard = 1, False
    return config
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """1,000 classes, one picture each, in the layout of TFDS's own builder."""
    root = tmp_path_factory.mktemp("imagenet")
    manual = root / "data" / "downloads" / "manual"
    manual.mkdir(parents=True)
    write_archives(
        manual, train_pictures(SYNSETS), validation_pictures(SIZES["validation"])
    )
    (root / "config.py").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Imagenet2012, "SIZES", SIZES)
        data_dir = f"--data_dir={root / 'data'}"
        assert main(["prepare", "imagenet2012", data_dir, "--pixels=40"]) == 0
    return root


def run(root, command, *words):
    where = [f"--data_dir={root / 'data'}"]
    if command == "train":
        where.append(f"--config={root / 'config.py'}")
    assert main([command, *where, *words]) == 0


def test_from_archives_to_exported_weights(prepared, capsys):
    root = prepared
    run(root, "train", f"--workdir={root / 'teacher'}")
    kd = ["--config.method.name=kd", "--config.method.alpha=0.9"]
    kd += ["--config.method.temperature=4.0", "--config.seed=1"]
    teacher = f"--config.teacher.workdir={root / 'teacher'}"
    pixels = "--config.data.name=imagenet2012/pixels_40"
    run(root, "train", f"--workdir={root / 'kd'}", teacher, pixels, *kd)

    summary = json.loads((root / "kd" / "summary.json").read_text())
    train = summary["identity"]["data"]["train"]
    assert (train["name"], train["version"]) == ("imagenet2012/pixels_40", "5.1.0")
    assert train["num_examples"] == 1000 and train["crops"]["size"] == 32
    augment = json.loads((root / "kd" / "config.json").read_text())["data"]
    assert augment["mean"] == []  # what is known of ImageNet was taken

    capsys.readouterr()
    run(root, "evaluate", f"--workdir={root / 'kd'}")
    scores = json.loads(capsys.readouterr().out)
    told = summary["students"]["kd"]["metrics"]
    assert scores["students"]["kd"]["top1"] == told["top1"]
    assert scores["split"]["num_examples"] == 96
    # An untrained network of 1,000 classes; the teacher's answers are there as well.
    assert abs(told["loss"] - np.log(1000)) < 1 and 0 <= told["agreement"] <= 1

    out = root / "student.safetensors"
    how = ["--format=safetensors", f"--output={out}"]
    assert main(["export", str(root / "kd"), *how]) == 0
    with safe_open(out, framework="np") as opened:
        told = json.loads(opened.metadata()["kdjax"])
    assert told["crop"] == {"short_side": 40, "size": 32}  # as CONFIG has it
    assert told["mean"] == [0.485, 0.456, 0.406] and len(told["class_names"]) == 1000
    heads = [array for array in load_file(out).values() if len(array) == 1000]
    assert sorted(head.ndim for head in heads) == [1, 2]
