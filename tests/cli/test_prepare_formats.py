"""A folder's set in another format, when the folder or the options are others."""

import shutil

import pytest

from tests.cli.test_prepare import main, photos
from tests.data.jpegs import encode, picture

FORM = "photos/pixels_24"


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Of a set that is prepared in a format of its own, without its original."""
    monkeypatch.chdir(tmp_path)
    words = [*photos(tmp_path), "--pixels=24"]
    assert main(words) == 0
    return words


def add(tmp_path, name):
    content = encode(picture(32, 32, 50), kind="PNG")
    (tmp_path / "photos" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "photos" / name).write_bytes(content)


@pytest.mark.parametrize("original", ["is there", "was deleted"])
def test_a_changed_folder_is_refused(tmp_path, words, capsys, original):
    if original == "was deleted":
        shutil.rmtree(tmp_path / "data/photos/1.0.0")
    assert main(words) == 0  # nothing has changed
    assert f"{FORM}: train 8, validation 2; was prep" in capsys.readouterr().out
    assert main([*words, "--seed=3"]) == 2
    assert "--seed was 0 and is 3; files, or their" in capsys.readouterr().err
    add(tmp_path, "emu/0.png")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert f"{FORM} was prepared already" in error and "photos:1.0.1, another" in error
    assert main(["photos:1.0.1", *words[1:]]) == 0
    assert f"{FORM}:1.0.1: train 9, validation 2; from" in capsys.readouterr().out


def test_the_newest_version_is_converted(tmp_path, words, capsys):
    add(tmp_path, "cat/new.png")
    assert main(["photos:1.0.1", *words[1:3]]) == 0
    for _ in range(2):  # by name alone, the second time it is there
        assert main(["photos", *words[2:]]) == 0
        assert "data/photos/pixels_24/1.0.1" in capsys.readouterr().out
    assert main(words) == 0
    shutil.rmtree(tmp_path / "data/photos/1.0.1")  # one that is older stays
    assert main(["photos", *words[2:]]) == 0
    assert "data/photos/pixels_24/1.0.1" in capsys.readouterr().out


def test_an_original_that_was_prepared_anew_is_another_set(tmp_path, words, capsys):
    add(tmp_path, "cat/new.png")
    shutil.rmtree(tmp_path / "data/photos/1.0.0")
    assert main(words[:-1]) == 0
    assert main(["photos", *words[2:]]) == 2
    assert f"{FORM} was prepared already" in capsys.readouterr().err
