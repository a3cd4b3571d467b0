"""A run's weights as a file with a card; the fixture is a training of two steps."""

import hashlib
import json

import numpy as np
import pytest
from flax import linen as nn
from safetensors.numpy import load_file

from kdjax import checkpoints
from kdjax.__main__ import main
from kdjax.models import from_linen
from kdjax.reproduce import records, teacher_file
from kdjax.reproduce.plans import Pair, Run, Settings, put_data
from kdjax.reproduce.small import protocol
from kdjax.runner import run as runner


class Headed(nn.Module):
    """Linear in every fourth pixel, with a classifier of the usual name."""

    classes: int

    @nn.compact
    def __call__(self, images):
        pixels = images[:, ::4, ::4].reshape(len(images), -1)
        return nn.Dense(self.classes, name="head")(pixels), {"pooled": pixels}


def headed(num_classes: int):
    return from_linen(Headed(num_classes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(config, workdir) of a recorded run."""
    root, draw = tmp_path_factory.mktemp("teacher"), np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 64), ("test", 20)):
        arrays[f"{name}_image"] = draw.integers(0, 256, (count, 8, 8, 3), np.uint8)
        arrays[f"{name}_label"] = np.arange(count) % 5
    np.savez(root / "set.npz", **arrays)
    config = protocol("resnet20") | {"method": {"name": "ce"}}
    config["model"], config["batch_size"] = {"name": f"{__name__}:headed"}, 32
    put_data(config, Settings(data="set.npz", data_dir=str(root)))
    config |= {"seed": 0, "total_steps": 2}
    config["schedule"]["warmup_epochs"] = 0.0
    workdir = root / "resnet20"
    records.note_time_slice(workdir)
    runner.run(config, workdir)
    one = Run("resnet20", config, Pair("resnet20", "resnet8"))
    command = "python -m kdjax reproduce cifar100-small"
    records.add("s", command, root / "results", lambda *_: None, one, workdir)
    return config, workdir


def test_the_file_holds_the_runs_weights_and_the_card_their_accuracy(
    finished, tmp_path, capsys
):
    config, workdir = finished
    teacher_file.export_teacher(config, workdir, tmp_path)
    weights, page = tmp_path / "resnet20.safetensors", tmp_path / "resnet20.md"
    variables = checkpoints.read_variables(workdir / "checkpoints", 2, "ce")
    (kernel,) = (x for x in load_file(weights).values() if x.ndim == 2)
    trained = np.asarray(variables[0]["head"]["kernel"])
    assert {kernel.tobytes(), kernel.T.tobytes()} & {trained.tobytes()}
    text = page.read_text()
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    summary = json.loads((workdir / "summary.json").read_text())
    top1 = summary["students"]["ce"]["metrics"]["top1"]
    for words in (
        f"| SHA-256 of the file | {sha256} |",
        f"| test accuracy | {top1:.2f} % of 20 images, last epoch",
        "| data | set.npz, 64 training images |",
        "| trained by | 2 steps of batch 32 |",
        "| command | python -m kdjax reproduce cifar100-small |",
        f"| parameters | {trained.size + trained.shape[1]:,} |",
        "Apache-2.0",
    ):
        assert words in text, words
    assert str(workdir.parent) not in text
    before = weights.stat().st_mtime_ns, page.stat().st_mtime_ns
    capsys.readouterr()
    teacher_file.export_teacher(config, workdir, tmp_path)
    assert (weights.stat().st_mtime_ns, page.stat().st_mtime_ns) == before
    assert capsys.readouterr().out == ""


def test_the_cards_command_reads_the_file(finished, tmp_path, monkeypatch, as_they_are):
    config, workdir = finished
    teacher_file.export_teacher(config, workdir, tmp_path)
    command = (tmp_path / "resnet20.md").read_text().split("```")[1]
    words = command.replace("\\", "").split()[3:]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    config, _ = checkpoints.read_meta(tmp_path / "runs/teacher/checkpoints")
    assert config["data"]["normalisation"]["mean"] == [0.5071, 0.4867, 0.4408]


def test_weights_of_another_run_replace_the_file(finished, tmp_path):
    config, workdir = finished
    (tmp_path / "resnet20.safetensors").write_bytes(b"old")
    (tmp_path / "resnet20.md").write_text("of other weights")
    teacher_file.export_teacher(config, workdir, tmp_path)
    assert load_file(tmp_path / "resnet20.safetensors")
    assert "of other weights" not in (tmp_path / "resnet20.md").read_text()


def test_a_run_that_is_not_recorded_is_left_alone(tmp_path):
    teacher_file.export_teacher({}, tmp_path / "resnet20", tmp_path)
    assert not list(tmp_path.iterdir())
