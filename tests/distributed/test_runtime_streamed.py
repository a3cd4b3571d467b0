"""Two processes and a set on disk: each decodes its own rows, and nothing changes."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.cli import cache
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.loaders.sampler import sample_positions
from kdjax.reporting.reporter import read_rows
from kdjax.runner import run
from tests.data.jpegs import pictures, prepare_jpegs
from tests.distributed.jobs import RECORDED, Job, by_hand, read_records, write
from tests.experiment import configs


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("streamed")
    rows = pictures(21)
    prepare_jpegs(root, {"train": rows, "test": rows[:9]})
    write(root / "config.py", config(root))
    return root


def config(data_dir) -> ConfigDict:
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.teacher.network = "tests.networks:coarse"
    config.method = ConfigDict({"name": "kd", "alpha": 0.5, "temperature": 2.0})
    config.data.name, config.data.feed = "jpeg_set", "streamed"
    config.data.train, config.data.test, config.data.flip = "train", "test", True
    config.data.crops = ConfigDict({"size": 16, "short_side": 20})
    config.data.mean, config.data.std = (0.4, 0.5, 0.5), (0.3, 0.3, 0.3)
    config.batch_size, config.total_steps, config.log_every_steps = 8, 4, 1
    config.evaluation.batch_size, config.evaluation.every_epochs = 8, 0.0
    config.schedule.learning_rate, config.seed = 0.01, 1  # seed 0 is the teacher's
    return config


def start(root, command, *words):
    out = root / f"{command}.record"
    request = json.dumps({"out": str(out), "images": True})
    words = [command, f"--config={root / 'config.py'}", "--devices=2", *words]
    job = Job(root, words, flags=by_hand(2), module=RECORDED, RECORD=request).check()
    return job, read_records(out, 2)


def test_batches_and_evaluation_are_those_of_one_process(root, as_they_are):
    _, (first, second) = start(root, "train", f"--workdir={root / 'two'}")
    run.run(config(root), root / "one")
    rows = [read_rows(root / name / "metrics.jsonl") for name in ("two", "one")]
    for row, wanted in zip(*rows, strict=True):
        shared = [key for key in row if key.startswith(("train/kd", "eval/kd"))]
        for key in shared:
            assert row[key] == pytest.approx(wanted[key], rel=1e-5, abs=1e-6), key
    assert row["eval/kd/count"] == 9
    # Batches of 8 and 1 test images: the second process has half of the first one.
    assert (first["evaluation_crop"], second["evaluation_crop"]) == (5, 4)
    # Half of each batch; some steps more are decoded ahead.
    assert first["training_crop"] % 4 == second["training_crop"] % 4 == 0


def test_a_cache_is_made_and_written_once(root, as_they_are, capsys):
    flags = ["--epochs=2", "--dtype=float32"]
    job, (first, second) = start(root, "cache", f"--workdir={root / 'both'}", *flags)
    assert first["training_crop"] == second["training_crop"] == 24  # 2 x 21, padded
    (line,) = [x for x in job.text().splitlines() if x.startswith("{")]
    alone = [f"--config={root / 'config.py'}", f"--workdir={root / 'alone'}", *flags]
    assert cache.main(alone) == 0
    wanted = json.loads(capsys.readouterr().out)
    assert json.loads(line)["digest"] == wanted["digest"]
    files = sorted(path.name for path in (root / "both" / "00001").iterdir())
    assert files == ["checksums.json", "logits.npy"]
    for epoch in ("00000", "00001"):
        logits, expected = (
            np.load(root / name / epoch / "logits.npy") for name in ("both", "alone")
        )
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_skipped_images_of_all_processes_are_reported(tmp_path):
    """One damaged image for each process, which the other one never decodes."""
    settings = config(tmp_path / "data")
    settings.total_steps, settings.data.threads = 3, 1
    rows = pictures(21)
    for index in decoded_by_one(tmp_path / "sound", rows, settings, steps=9):
        content, label = rows[index]
        rows[index] = content[:-300], label
    prepare_jpegs(tmp_path / "data", {"train": rows, "test": pictures(9)})
    write(tmp_path / "config.py", settings)
    words = ["train", f"--config={tmp_path / 'config.py'}", "--devices=2"]
    words += [f"--workdir={tmp_path / 'run'}"]
    # A time slice that ends after a step reports too: all processes gather there.
    time_slice = Job(tmp_path, [*words, "--minutes=1e-9"], flags=by_hand(2))
    assert time_slice.codes() == [42, 42], time_slice.text()
    Job(tmp_path, words, flags=by_hand(2)).check()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    skipped = summary["unreadable_images"]
    assert skipped["count"] == len(skipped["first"]) == 2


def decoded_by_one(data_dir, rows, settings, steps):
    """Where in `rows` two images are: the first process's, and the second one's."""
    prepare_jpegs(data_dir, {"train": rows})
    images = load_split("jpeg_set", "train", data_dir=data_dir, crops=Geometry()).image
    contents = [content for content, _ in rows]
    decoded = [set(), set()]
    for step in range(steps):
        index, _ = sample_positions(settings.seed, step, settings.batch_size, len(rows))
        for own, half in zip(decoded, np.split(index, 2), strict=True):
            own |= set(half.tolist())
    alone = min(decoded[0] - decoded[1]), min(decoded[1] - decoded[0])
    return [contents.index(images.content(index)) for index in alone]
