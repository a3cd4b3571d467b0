"""Every command on a bucket (gs://)."""

import json

import numpy as np
import pytest
from PIL import Image

from kdjax import paths
from kdjax.__main__ import main
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from tests.buckets.commands import KD, train

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.long]
pytestmark += [pytest.mark.usefixtures("own_networks")]


@pytest.fixture(scope="module")
def teacher(bucket):
    assert main(train(f"{bucket}/teacher")) == 0
    return f"{bucket}/teacher"


def test_every_other_command(teacher, bucket, capsys):
    """A cache, students that read it, a selection, a sweep, exports, a report."""
    kd = [KD, f"--config.teacher.workdir={teacher}"]
    config = ["--config=config.py", f"--data_dir={bucket}/data"]
    cached = [*config, *kd, f"--workdir={bucket}/cache"]
    assert main(["cache", *cached]) == 0
    epoch = paths.parse(f"{bucket}/cache/00002", "cache")
    (epoch / "checksums.json").unlink()  # as of an upload that was cut off
    assert main(["cache", *cached]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["written_epochs"] for line in lines] == [4, 1]
    assert main(["cache", *cached, "--verify=64"]) == 0
    student = f"{bucket}/student"
    assert main(train(student, *kd, f"--config.teacher.cache={bucket}/cache")) == 0
    content = (epoch / "logits.npy").read_bytes()
    (epoch / "logits.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
    assert main(["cache", *cached, "--verify=64"]) == 4
    select = f"{{'name':'detector','detector':'fine','proxies':'{teacher}'}}"
    select = ["select", *config, f"--config.select={select}"]
    assert main([*select, f"--workdir={bucket}/selected"]) == 0
    kept = [f"--config.data.keep={bucket}/selected", "--config.total_epochs=1.0"]
    first = f"--config.initial.workdir={teacher}"
    assert main(train(f"{bucket}/kept", *kept, first)) == 0
    sweep = ["sweep", *config, "--grid.seed=0,1", f"--workdir={bucket}/sweep"]
    for more in ([], ["--retry_failed"]):
        assert main([*sweep, "--config.total_epochs=1.0", *more]) == 0
    assert paths.parse(f"{bucket}/sweep/seed-1/DONE", "sweep").exists()
    assert main(["report", str(teacher), student, f"--output={bucket}/report"]) == 0
    output = f"--output={bucket}/analysis"
    assert main(["analyse", student, config[1], output]) == 0
    for name in ("report/index.html", "analysis/analysis.json"):
        assert paths.parse(f"{bucket}/{name}", "report").exists()


def test_weights_go_out_and_come_back(bucket, capsys):
    file, back = f"{bucket}/w.safetensors", f"{bucket}/imported"
    student = f"{bucket}/resnet"
    model = "--config.model={'name': 'resnet8'}"
    assert main(train(student, model, "--config.total_steps=1")) == 0
    words = [student, "--format=safetensors", f"--output={file}"]
    assert main(["export", *words]) == 0
    moments = ["--image_shape=8,8,1", "--mean=0.5", "--std=0.25"]
    words = [file, "--model=resnet8", *moments, f"--workdir={back}"]
    assert main(["import", *words]) == 0
    capsys.readouterr()
    lines = []
    for words in ([student], [back, f"--data={bucket}/data/t.npz"]):
        assert main(["evaluate", f"--workdir={words[0]}", *words[1:]]) == 0
        (row,) = json.loads(capsys.readouterr().out)["students"].values()
        lines.append(row["top1"])
    assert lines[0] == lines[1]
    words = [f"{bucket}/none.safetensors", "--model=resnet8", *moments]
    assert main(["import", *words, f"--workdir={bucket}/none"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_set_is_prepared_and_streamed_there(bucket, tmp_path):
    """Images in folders, prepared into a bucket; one copy of them is what both read."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            directory = tmp_path / "images" / split / name
            directory.mkdir(parents=True)
            for i in range(8):
                pixels = random.integers(0, 256, (40, 48, 3), np.uint8)
                Image.fromarray(pixels).save(directory / f"{i}.jpg")
    splits = []
    for data_dir in (str(tmp_path / "data"), f"{bucket}/sets"):
        words = [f"--folder={tmp_path / 'images'}", f"--data_dir={data_dir}"]
        assert main(["prepare", "mine", *words]) == 0
        assert main(["prepare", "mine", *words]) == 0  # it is there
        crops = Geometry(size=32, short_side=36)
        splits.append(load_split("mine", "train", data_dir=data_dir, crops=crops))
    local, remote = splits
    np.testing.assert_array_equal(local.label, remote.label)
    assert local.identity == remote.identity
    for index in (0, 15):
        here, there = (s.image.training_crop(3, 2, index)[0] for s in (local, remote))
        np.testing.assert_array_equal(here, there)
    labels = paths.parse(f"{bucket}/sets/mine/1.0.0", "data").glob("kdjax-labels-*")
    assert len(list(labels)) == 2
