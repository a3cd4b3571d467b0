"""A file of arrays has images of one size: said before a set is written, not after."""

import numpy as np
import pytest

from kdjax.datasets import one_size
from tests.cli.test_prepare import main
from tests.data.jpegs import encode, picture, prepare_jpegs
from tests.datasets.miniature_imagenet import write_folder


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Of `prepare`; with a file that cannot be read, and is left out."""
    monkeypatch.chdir(tmp_path)
    classes = {
        name: {f"{i}.png": encode(picture(40, 50, i + first), kind="PNG")
               for i in range(3)}
        for name, first in (("cat", 0), ("dog", 9))
    }  # fmt: skip
    write_folder(tmp_path / "in", {"": classes})
    (tmp_path / "in/cat/bad.png").write_bytes(b"<html>404")
    return ["mine", "--folder=in", "--data_dir=data", "--npz=mine.npz"]


def add(tmp_path, height, width):
    content = encode(picture(height, width, 7))
    (tmp_path / "in/dog/other.jpg").write_bytes(content)


def test_images_of_several_sizes_are_not_prepared_for_it(tmp_path, words, capsys):
    add(tmp_path, 60, 50)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "in/cat/0.png has 40 x 50 pixels and in/dog/other.jpg has 60 x 50" in error
    assert "expected images of one size" in error and "config." not in error
    assert not (tmp_path / "data").exists()
    assert main([*words, "--pixels=20"]) == 2
    assert "has 24 x 20 pixels, as pixels_20 writes them" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_images_of_one_size_are(tmp_path, words):
    assert main(words) == 0
    with np.load("mine.npz") as file:
        splits = file["train_image"], file["validation_image"]
    assert [split.shape[1:] for split in splits] == [(40, 50, 3)] * 2
    assert sum(map(len, splits)) == 6


def test_a_file_of_another_name_is_refused_before(tmp_path, words, capsys):
    assert main([*words[:3], "--npz=mine.zip"]) == 2
    assert "mine.zip: expected a file called NAME.npz" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_another_format_may_make_one_size_of_them(tmp_path, words):
    add(tmp_path, 80, 100)
    assert main([*words, "--pixels=20"]) == 0
    with np.load("mine.npz") as file:
        assert file["train_image"].shape[1:] == (20, 25, 3)


def test_a_set_is_looked_at_before_it_is_converted(tmp_path, words, capsys):
    add(tmp_path, 60, 50)
    assert main(words[:3]) == 0
    assert main(["mine", *words[2:], "--pixels=20"]) == 2
    assert "has 24 x 20 pixels, as pixels_20 writes them" in capsys.readouterr().err
    assert not (tmp_path / "data/mine/pixels_20").exists()


@pytest.mark.parametrize("name", ["jpeg_set", "imagenet2012"])
def test_sets_that_are_there_and_imagenet(tmp_path, capsys, name):
    rows = [(encode(picture(30 + i, 40, i)), 0) for i in range(2)]
    prepare_jpegs(tmp_path / "data", {"train": rows})
    assert main([name, f"--data_dir={tmp_path}/data", f"--npz={tmp_path}/x.npz"]) == 2
    assert one_size.ADVICE in capsys.readouterr().err
