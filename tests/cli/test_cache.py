"""python -m kdjax cache: written once, gone on with, refused, verified."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from kdjax import __main__
from kdjax.caching import writer
from kdjax.caching.teacher_runner import TeacherRunner
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from tests.caching.test_files import fix_checksum
from tests.cli.caches import files, printed

pytestmark = pytest.mark.usefixtures("as_they_are")


def test_what_is_missing_is_written_and_the_rest_left(cached, tmp_path, capsys):
    where = tmp_path / "cache"
    shutil.copytree(cached.root / "half", where)
    whole = files(where)
    (where / "00001").rename(where / "00001.part")
    (where / "00001.part" / "logits.npy").write_bytes(b"half of it")
    kept = (where / "00000" / "logits.npy").stat().st_ino
    assert cached.cache(where) == 0
    line = printed(capsys)
    assert (line["epochs"], line["written_epochs"]) == (2, 1)
    assert files(where) == whole
    assert (where / "00000" / "logits.npy").stat().st_ino == kept
    assert cached.cache(where, "--epochs=1") == 0  # fewer are there already
    assert printed(capsys)["epochs"] == 2
    assert cached.cache(where, "--epochs=3") == 0
    more = printed(capsys)
    assert (more["epochs"], more["written_epochs"]) == (3, 1)
    assert more["digest"] == line["digest"]
    on_disk = sum(path.stat().st_size for path in where.glob("*/*.npy"))
    assert more["bytes"] == on_disk


def test_a_signal_leaves_whole_epochs_and_exits_with_42(cached, tmp_path, monkeypatch):
    blocks = TeacherRunner.blocks

    def signalled(self, epoch):
        for number, block in enumerate(blocks(self, epoch)):
            if (epoch, number) == (1, 1):
                os.kill(os.getpid(), signal.SIGTERM)
            yield block

    where = tmp_path / "cache"
    argv = ["cache", f"--config={cached.file}", f"--workdir={where}", "--epochs=3"]
    monkeypatch.setattr(TeacherRunner, "blocks", signalled)
    assert __main__.main(argv) == 42
    assert sorted(p.name for p in where.iterdir() if p.is_dir()) == ["00000"]
    monkeypatch.setattr(TeacherRunner, "blocks", blocks)
    message = "has 1 of the 2 epochs that this run begins; epoch 1 is missing"
    with pytest.raises(InputError, match=message):
        build(cached.config(f"teacher.cache={where}"))
    assert __main__.main(argv) == 0
    assert files(where).items() >= files(cached.root / "half").items()


@pytest.mark.parametrize(
    ("flags", "message"),
    (
        (["--config.seed=2"], "seed is 1 there and 2 here"),
        (["--config.teacher.checkpoint=2"], "teacher is '[0-9a-f]{64}' there"),
        (["--config.data.train=train[:128]"], "data.num_examples is 256 there and 128"),
        (["--config.data.padding=1"], "preprocessing.padding is 2 there and 1 here"),
        (["--dtype=float32"], "dtype is 'float16' there and 'float32' here"),
        (["--top_k=3"], "top_k is 0 there and 3 here"),
        (["--features=pooled"], r"features.pooled is None there and \[49\] here"),
    ),
)
def test_a_cache_of_other_outputs_is_not_gone_on_with(cached, flags, message):
    before = (cached.root / "half" / "manifest.json").read_text()
    flags = [flag.format(root=cached.root) for flag in flags]
    with pytest.raises(
        InputError, match=f"holds a cache of other outputs: .*{message}"
    ):
        cached.cache(cached.root / "half", *flags)
    assert (cached.root / "half" / "manifest.json").read_text() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    (
        (["--top_k=10"], "--top_k is 10 and the teacher has 10 classes; expected 0"),
        (["--epochs=0"], "--epochs is 0; expected 1 or more"),
        (["--config.teacher.workdir="], "config.teacher names none"),
        (["--verify"], "--verify: there is no cache in"),
        (["--config.teacher.workdir={root}/half"], "no checkpoints here"),
        (
            [
                "--config.teacher.workdir=",
                "--config.teacher.network=tests.networks:linear",
                "--features=pooled",
            ],
            "the teacher has no feature 'pooled'; it has none",
        ),
    ),
)
def test_what_cannot_be_cached(cached, tmp_path, flags, message):
    flags = [flag.format(root=cached.root) for flag in flags]
    with pytest.raises(InputError, match=message):
        cached.cache(tmp_path / "cache", *flags)
    with pytest.raises(
        InputError, match="teacher holds .* and no cache; expected a new"
    ):
        cached.cache(cached.root / "teacher")


def test_a_disk_with_less_room_is_refused_before_anything_is_written(
    cached, tmp_path, monkeypatch, capsys
):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(writer.shutil, "disk_usage", lambda _: usage)
    argv = ["cache", f"--config={cached.file}", f"--workdir={tmp_path / 'cache'}"]
    assert __main__.main(argv) == 4
    errors = capsys.readouterr().err
    assert "has 10.00 kB free and the cache still needs 10.50 kB" in errors
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_verify_says_that_a_cache_is_sound(cached, capsys):
    assert cached.cache(cached.root / "single", "--verify=512") == 0
    line = printed(capsys)
    assert line["sound"] and line["rows"] == 512 and line["epochs"] == 2
    assert line["largest_difference"] < 1e-5
    flags = ("--verify", "--config.total_steps=99")
    assert cached.cache(cached.root / "half", *flags) == 0
    line = printed(capsys)
    assert line["epochs"] == 2  # all that it has; the config may want another number
    assert line["rows"] == 256 and 1e-5 < line["largest_difference"] < 2**-11 + 1e-5


@pytest.mark.parametrize("kind", ("byte", "row", "epoch"))
def test_verify_finds(cached, tmp_path, capsys, kind):
    where = tmp_path / "cache"
    shutil.copytree(cached.root / "half", where)
    path = where / "00001" / "logits.npy"
    if kind == "epoch":
        shutil.rmtree(path.parent)
    elif kind == "byte":
        data = bytearray(path.read_bytes())
        data[200] ^= 1
        path.write_bytes(data)
    else:
        logits = np.load(path)
        logits[[7, 8]] = logits[[8, 7]]
        np.save(path, logits)
        fix_checksum(path.parent, path.name)
    assert cached.cache(where, "--verify=1000") == 4
    out, errors = capsys.readouterr()
    line = json.loads(out)
    assert not line["sound"] and line["problems"] == (2 if kind == "row" else 1)
    expected = {
        "byte": "logits.npy differs from its checksum",
        "row": "epoch 1, sample 7: differs from the teacher's output by",
        "epoch": "epoch 1 is missing",
    }
    assert expected[kind] in errors


def test_the_largest_logits_alone(cached, tmp_path, capsys):
    where = tmp_path / "cache"
    assert cached.cache(where, "--top_k=3", "--epochs=2", "--dtype=float32") == 0
    line = printed(capsys)
    assert line["top_k"] == 3 and line["bytes"] == 2 * (256 * (12 + 6 + 4) + 3 * 128)
    assert cached.cache(where, "--verify=512") == 0
    assert printed(capsys)["largest_difference"] < 1e-5
    ids = np.load(where / "00000" / "classes.npy")
    ids[3, 0] = (ids[3].max() + 1) % 10 if (ids[3].max() + 1) % 10 not in ids[3] else 0
    np.save(where / "00000" / "classes.npy", ids)
    fix_checksum(where / "00000", "classes.npy")
    assert cached.cache(where, "--verify=512") == 4
    assert printed(capsys)["problems"] == 1
