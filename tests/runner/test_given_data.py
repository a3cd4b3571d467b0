"""Folders, names and arrays that a caller gives, and the batch that fits them."""

import pathlib
import shutil

import numpy as np
import pytest

import kdjax
from kdjax.contracts import InputError
from kdjax.data.npz import save_npz
from kdjax.data.split import DataError, in_memory
from kdjax.datasets.folder_builder import prepare_folder
from kdjax.runner.given_data import batch_and_rate, data_section, say_augmentation
from kdjax.runner.workdir import LOCK, locked
from tests.datasets.test_own_folder import A, write

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), np.uint8)
PAIR = IMAGES, np.arange(9) % 3


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of 12 images in the current one."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "photos", {"a": 8, "b": 4})
    return tmp_path


def section(data, data_dir="", workdir="run"):
    return data_section(data, data_dir, pathlib.Path(workdir).resolve())


@pytest.mark.parametrize(
    "count, given, batch, rate",
    [
        (None, None, 128, 0.1),  # a set that kdjax knows, of tens of thousands
        (50_000, None, 128, 0.1),
        (5119, None, 64, 0.05),
        (286, None, 16, 0.0125),
        (10, None, 10, 0.0078125),
        (286, 128, 128, 0.1),
    ],
)
def test_a_batch_fits_the_set(count, given, batch, rate, capsys):
    assert batch_and_rate(count, given) == (batch, pytest.approx(rate))
    said = capsys.readouterr().err
    assert (f"batch_size={batch}" in said) == (batch != 128)


@pytest.mark.parametrize(
    "config, line",
    [
        (
            {},
            "training images are cropped at random from a border of 4 pixels and "
            "mirrored at random; config={'data.padding': 0, 'data.flip': False} "
            "switches that off\n",
        ),
        (
            {"config.data.padding": 2, "data.mixup": 1.0},
            "training images are mirrored at random; config={'data.flip': False} "
            "switches that off\n",
        ),
        ({"data.padding": 4, "data.flip": True}, ""),
    ],
)
def test_what_is_done_to_images_of_ones_own_is_said(here, capsys, config, line):
    data, _ = section({"train": PAIR, "test": PAIR})
    say_augmentation(data, config)
    assert capsys.readouterr().err == line


def test_it_is_said_before_anything_is_trained(here, capsys):
    for data, is_said in (({"train": PAIR, "test": PAIR}, True), ("photos", False)):
        with pytest.raises(InputError, match="Did you mean"):
            kdjax.train("resnet8", data, workdir="run", epochs=1, method="kdd")
        assert ("mirrored at random" in capsys.readouterr().err) == is_said


def test_of_sets_that_kdjax_has_facts_of_nothing_is_said(here, capsys):
    for data in ("cifar10", "photos"):
        say_augmentation(section(data)[0], {})
        assert "mirrored" not in capsys.readouterr().err


def test_a_folder_is_prepared_and_counted(here):
    data, count = section("photos")
    assert data["name"] == "photos" and data["test"] == "validation" and count == 9
    shutil.rmtree("photos")  # what was prepared of it stays
    assert section("photos") == (data, count)
    assert section("./photos") == (data, count)


def test_a_folder_that_is_called_as_a_known_set_has_its_own_mean(here):
    (here / "photos").rename(here / "CIFAR10")
    assert section(here / "CIFAR10")[0]["name"] == "cifar10_images"


def test_images_that_are_added_before_training_count(here):
    assert section("photos")[1] == 9
    (here / "photos/a/new.jpg").write_bytes(A)
    assert section("photos")[1] == 10
    (here / "run/checkpoints/1").mkdir(parents=True)
    (here / "photos/a/newer.jpg").write_bytes(A)
    with pytest.raises(InputError, match="a run on what photos had before: files, or"):
        section("photos")
    (here / "run/checkpoints/1").rmdir()
    (here / "run/programs/a/checkpoints/1").mkdir(parents=True)  # of a sweep
    with pytest.raises(InputError, match="a run on what photos had before: files, or"):
        section("photos")


def test_a_run_at_work_keeps_its_data(here):
    """Before its first checkpoint too: nothing else says then that it has begun."""
    workdir, other = here / "run", (IMAGES[::-1], PAIR[1])
    section({"train": PAIR, "test": PAIR})
    section("photos")
    (here / "photos/a/new.jpg").write_bytes(A)
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*.*")}
    with locked(workdir):
        before[workdir / LOCK] = (workdir / LOCK).stat().st_mtime_ns
        for data in ({"train": other, "test": PAIR}, "photos"):
            with pytest.raises(InputError, match="another run is writing to"):
                section(data)
        section({"train": PAIR, "test": PAIR})  # the same, which the run refuses
        after = {path: path.stat().st_mtime_ns for path in workdir.rglob("*.*")}
        assert after == before
    (workdir / LOCK).unlink()
    section({"train": other, "test": PAIR})
    assert section("photos")[1] == 10 and not (workdir / LOCK).exists()


def test_a_set_of_ones_own_by_name_trains_as_it_was_measured(here):
    """With its own split to validate on, and crops where it is streamed."""
    write(here / "photos", {"large": 4}, side=90)
    done = prepare_folder("mine", here / "photos", data_dir=here / "sets")
    assert done.facts["training"]["feed"] == "streamed"
    data, count = section("mine", str(here / "sets"))
    assert data["test"] == "validation" and data["feed"] == "streamed"
    assert "padding" not in data and count == 12
    prepare_folder("photos", here / "photos", data_dir=here / "sets")
    same, _ = section("photos", str(here / "sets"))  # not the folder that is here
    assert same["data_dir"] == str(here / "sets")
    assert section("mine:1.0.0", str(here / "sets"))[0]["name"] == "mine:1.0.0"


def test_a_file_of_arrays_is_counted(here):
    images = np.zeros((5, 8, 8, 3), np.uint8)
    split = in_memory(images, np.arange(5), tuple("abcde"), name="x", split="train")
    save_npz(here / "x.npz", {"train": split, "test": split})
    assert section("x.npz") == (
        {"name": "x.npz", "data_dir": "", "padding": 4, "flip": True},
        5,
    )
    assert section("x.npz", str(here))[1] == 5
    (here / "x.npz").write_bytes(b"PK")  # the run says what is wrong
    assert section("x.npz")[1] is None


@pytest.mark.errors
@pytest.mark.parametrize(
    "data, message",
    [
        ("./photo", r"data is './photo', and there is no such folder.*mean photos\?"),
        (pathlib.Path("fotos"), "'fotos', and there is no such folder.*mean photos"),
        ("My photos!", "data is 'My photos!', and there is no such folder; expected"),
        ("fotos", "neither such a folder here nor a prepared set.*mean photos"),
        ("photo/a", "neither such a folder here nor a prepared set.*mean photos/a"),
        ("/nowhere/photos/train", "'/nowhere/photos/train', and there is no such fol"),
    ],
)
def test_a_folder_that_is_not_there(here, data, message):
    with pytest.raises(DataError, match=message):
        section(data)


@pytest.mark.errors
def test_a_workdir_that_is_a_file_is_said(here):
    (here / "file").touch()
    images = np.zeros((2, 8, 8, 3), np.uint8), np.arange(2)
    for data in ("photos", {"train": images, "test": images}):
        with pytest.raises(InputError, match="workdir: cannot write to .*file"):
            section(data, workdir="file")


@pytest.mark.errors
def test_a_run_is_not_among_its_images(here):
    with pytest.raises(InputError, match="workdir: .* lies in data, photos"):
        section("photos", workdir="photos/run")


@pytest.mark.errors
def test_options_of_prepare_are_said_to_be_that(here):
    (here / "photos/a/deep").mkdir()
    (here / "photos/a/deep/0.jpg").write_bytes(A)
    message = "--nested(.|\n)*options of `python -m kdjax prepare NAME --folder=photos "
    with pytest.raises(DataError, match=message):
        section("photos")


@pytest.mark.parametrize("data", ["photos", {"train": PAIR, "test": PAIR}])
def test_a_call_that_is_refused_leaves_no_data(here, data):
    for settings in ({"method": "kdd"}, {"config": {"seeed": 1}}):
        with pytest.raises(InputError, match="Did you mean"):
            kdjax.train("resnet8", data, workdir="new/run", epochs=1, **settings)
        assert not (here / "new").exists()
