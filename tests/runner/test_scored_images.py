"""Networks of a run on another set of the same classes, against NumPy."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.cli import evaluate
from kdjax.contracts import InputError
from kdjax.runner import run
from tests.runner.test_head_swap import ANIMALS, MOMENTS, config_of, write

pytestmark = pytest.mark.usefixtures("own_networks", "as_they_are")
NETWORK = "tests.networks:coarse"  # linear in every fourth pixel


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A teacher and a student on four animals."""
    root = tmp_path_factory.mktemp("scored")
    path = write(root / "animals.npz", ANIMALS)
    teacher = config_of(path, model="coarse")
    run.run(teacher, root / "teacher")
    student = config_of(path, model="coarse", seed=4)
    student.method = ConfigDict({"name": "kd", "alpha": 0.5, "temperature": 2.0})
    student.teacher.workdir = str(root / "teacher")
    run.run(student, root / "student")
    return root


def score(root, capsys, data, *more, workdir="student"):
    words = [f"--workdir={root / workdir}", f"--data={data}", *more]
    capsys.readouterr()
    assert evaluate.main([*words, f"--allow_code={NETWORK}"]) == 0
    streams = capsys.readouterr()
    line = json.loads(streams.out)
    ((_, row),) = line["students"].items()
    return row, line, streams.err


def predictions(root, workdir, path, places):
    """Of a run on a set's test images, as numbers of the set's classes."""
    directory = root / workdir / "checkpoints"
    name = "kd" if workdir == "student" else "ce"
    step = checkpoints.read_meta(directory)[0]["step"]
    params = checkpoints.read_variables(directory, step, name)[0]["Dense_0"]
    with np.load(path) as file:
        image, label = file["test_image"], file["test_label"]
    pixels = (image[:, ::4, ::4] / 255 - MOMENTS["mean"]) / MOMENTS["std"]
    logits = pixels.reshape(len(image), -1) @ params["kernel"] + params["bias"]
    return logits[:, places].argmax(-1), label


@pytest.mark.parametrize(
    ("names", "places", "more"),
    (
        (ANIMALS, [0, 1, 2, 3], []),
        (("dog", "emu", "cat", "fox"), [1, 2, 0, 3], []),
        (("fox", "cat"), [3, 0], ["--subset"]),
        (None, [0, 1, 2, 3], []),
    ),
)
def test_another_set_is_scored_by_the_names_of_its_classes(
    root, capsys, names, places, more
):
    path = root / f"other{names and names[0]}.npz"
    write(path, names)
    row, line, said = score(root, capsys, path, *more)
    ours, label = predictions(root, "student", path, places)
    theirs, _ = predictions(root, "teacher", path, places)
    assert row["count"] == 64 and line["split"]["name"] == path.name
    assert row["top1"] == pytest.approx(100 * (ours == label).mean())
    assert row["agreement"] == pytest.approx(100 * (ours == theirs).mean())
    assert ("scored among the 2 classes" in said) == (len(places) == 2)
    assert ("matched by number: those of the set" in said) == (names is None)


@pytest.mark.parametrize(
    ("names", "more", "message"),
    (
        (("fox", "cat"), [], "2 that the network has.*'dog', 'emu'.*: --subset"),
        (
            ("fox", "cat", "dog", "gnu"),
            ["--subset"],
            "1 that the set has and the network has not: 'gnu'; 1 that the network has "
            "and the set has not: 'emu'",
        ),
        (None, [], "has 5 classes without names to go by, and the network 4"),
    ),
)
def test_other_classes_are_refused_with_their_names(root, names, more, message):
    path = write(root / "refused.npz", names, classes=5)
    with pytest.raises(InputError, match=message):
        evaluate.main([f"--workdir={root / 'student'}", f"--data={path}", *more])


def test_other_refusals(root):
    words = [f"--workdir={root / 'student'}"]
    path = write(root / "large.npz", ANIMALS, side=16)
    with pytest.raises(InputError, match=r"images of \[16, 16, 1\].*\[12, 12, 1\]"):
        evaluate.main([*words, f"--data={path}"])
    with pytest.raises(InputError, match="--subset are of another set"):
        evaluate.main([*words, "--subset"])
    write(root / "sub.npz", ANIMALS)
    with pytest.raises(InputError, match="no validation_image"):
        evaluate.main([*words, f"--data={root / 'sub.npz'}", "--split=validation"])


@pytest.mark.parametrize("split", ("train", "test"))
def test_images_that_were_replaced_are_not_scored_as_the_run_s(root, capsys, split):
    """Of the split that it trained on as of its test split."""
    with np.load(root / "animals.npz") as file:
        arrays = dict(file)
    arrays[f"{split}_image"] = 255 - arrays[f"{split}_image"]
    other = root / f"other_{split}"
    other.mkdir()
    np.savez(other / "animals.npz", **arrays)
    words = [f"--workdir={root / 'teacher'}", f"--split={split}"]
    words.append(f"--allow_code={NETWORK}")
    assert evaluate.main([*words, f"--data_dir={root}"]) == 0
    assert json.loads(capsys.readouterr().out)["split"]["split"] == split
    with pytest.raises(InputError, match="--data_dir: these are other images than"):
        evaluate.main([*words, f"--data_dir={other}"])
