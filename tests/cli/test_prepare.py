import shlex
import shutil

import pytest

from kdjax import __main__
from kdjax.data.registry import DATASETS
from kdjax.datasets.archive_builder import builder_class
from tests.data.jpegs import encode, picture, pictures, prepare_jpegs
from tests.datasets import miniatures
from tests.datasets.miniature_imagenet import tiny, write_folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("the test has no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)


def main(argv):
    """The command's exit code."""
    try:
        return __main__.main(["prepare", *argv])
    except SystemExit as stop:  # argparse's
        return stop.code


def test_prepares_once_and_says_so_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(builder_class("fashion_mnist"), "SIZES", miniatures.SIZES)
    (tmp_path / "archives").mkdir()
    miniatures.fashion_mnist(tmp_path / "archives")
    command = ["fashion_mnist", f"--data_dir={tmp_path / 'data'}"]
    command.append(f"--archives={tmp_path / 'archives'}")
    expected = f"{tmp_path / 'data' / 'fashion_mnist' / '3.0.1'}\n"
    for how in (f"from {tmp_path / 'archives'}", "was prepared already"):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert out == f"fashion_mnist: train 10, test 4; {how}; {expected}"


def test_unknown_name(tmp_path, capsys):
    assert main(["cifar1000", f"--data_dir={tmp_path}"]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("kdjax prepare: cannot prepare 'cifar1000'. Did you")
    assert all(name in streams.err for name in DATASETS)


def test_no_archive_and_no_network(tmp_path, capsys):
    assert main(["cifar10", f"--data_dir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert "Place cifar-10-binary.tar.gz or cifar-10-python.tar.gz into" in error


def test_directory_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["fashion_mnist_subset", f"--data_dir={tmp_path / 'file'}"]) == 4
    assert "choose another --data_dir" in capsys.readouterr().err


@pytest.mark.parametrize("argv, code", [([], 2), (["--help"], 0), (["a", "--x"], 2)])
def test_usage(argv, code, capsys):
    assert main(argv) == code
    streams = capsys.readouterr()
    assert "python -m kdjax prepare" in streams.out + streams.err


def folder(tmp_path, **more):
    """Two classes, and a file that is none."""
    cats = {"a.JPEG": tiny(0), "b.JPEG": tiny(1)} | more
    write_folder(tmp_path / "in", {"train": {"cat": cats, "dog": {"c.JPEG": tiny(2)}}})
    return f"--folder={tmp_path / 'in'}", f"--data_dir={tmp_path / 'data'}"


def test_a_folder_and_its_other_forms(tmp_path, capsys):
    source, data_dir = folder(tmp_path)
    assert main(["mine", source, data_dir, "--short_side=32", "--quality=90"]) == 0
    lines = capsys.readouterr().out.splitlines()
    where = tmp_path / "data" / "mine"
    assert lines[:2] == [
        f"mine: train 3; from {tmp_path / 'in'}; {where / '1.0.0'}",
        "mine/short_side_32_quality_90: train 3; from mine/1.0.0; "
        f"{where / 'short_side_32_quality_90' / '1.0.0'}",
    ]
    assert main(["mine", data_dir, "--pixels=24"]) == 0
    shutil.rmtree(where / "1.0.0")
    capsys.readouterr()
    # The original is not made again for a form that is there.
    assert main(["mine", source, data_dir, "--pixels=24"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("mine/pixels_24: train 3; was prepared already; ")
    assert "It has no images to validate with: --validation=0.2" in line
    assert not (where / "1.0.0").exists()


def test_unreadable_pictures_are_counted_and_named(tmp_path, capsys):
    damaged = {f"{i}.JPEG": tiny(i)[:300] for i in range(5)}
    source, data_dir = folder(tmp_path, **damaged)
    assert main(["mine", source, data_dir, "--skip_at_most=4"]) == 2
    error = capsys.readouterr().err
    assert "5 images cannot be read; expected 4 at most:" in error
    assert all(f"in/train/cat/{i}.JPEG (" in error for i in range(5))
    assert main(["mine", source, data_dir]) == 0
    streams = capsys.readouterr()
    assert "mine: train 3; 5 unreadable, left out; from" in streams.out
    assert streams.err.count("cannot be read (") == 3
    assert "in/train/cat/" in streams.err


def test_doubtful_pictures_are_kept_and_named(tmp_path, capsys):
    stray = tiny(7)[:-2] + bytes(20) + b"\xff\xd9"
    source, data_dir = folder(tmp_path, **{"stray.JPEG": stray})
    assert main(["mine", source, data_dir, "--skip_at_most=0"]) == 0
    streams = capsys.readouterr()
    assert "mine: train 4; 1 doubtful, kept; from" in streams.out
    assert "cat/stray.JPEG: kept, but look at it (Corrupt JPEG data: " in streams.err


def test_a_tfrecord_copy_is_asked_for(tmp_path, capsys):
    prepare_jpegs(tmp_path / "old", {"train": pictures(3)})
    path = tmp_path / "old/jpeg_set/1.0.0/dataset_info.json"
    path.write_text(path.read_text().replace('"array_record"', '"tfrecord"'))
    assert main(["jpeg_set", f"--data_dir={tmp_path / 'old'}"]) == 2
    assert "kdjax prepare NAME --tfrecord=DIR" in capsys.readouterr().err
    where = [f"--tfrecord={tmp_path / 'nowhere'}", f"--data_dir={tmp_path / 'new'}"]
    assert main(["jpeg_set", *where]) == 2
    assert "jpeg_set is not prepared in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--validation=0.2"], "--validation is that of --folder; expected both"),
        (["--nested"], "--nested is that of --folder; expected both"),
        (["--overwrite"], "--overwrite is that of --folder; expected both"),
        (["--quality=90"], "--quality is that of --short_side"),
        (["--short_side=20", "--quality=0"], "--quality is 0"),
        (["--pixels=1"], "--pixels is 1; expected 2 to 4096"),
        (["--pixels=9", "--short_side=9"], "are both given; expected one of them"),
        (["--archives=a", "--tfrecord=b"], "are both given; expected one of them"),
        (["--skip_at_most=-1"], "--skip_at_most is -1; expected 0 or more"),
    ],
)
def test_wrong_options(tmp_path, capsys, words, message):
    assert main(["mine", f"--data_dir={tmp_path / 'data'}", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def photos(tmp_path, each=5):
    """Two classes of small images and no split, one of them damaged."""
    for name, first in (("cat", 0), ("dog", 20)):
        files = {f"{i}.png": encode(picture(32, 32, first + i), kind="PNG") for i in
                 range(each)}  # fmt: skip
        write_folder(tmp_path / "photos", {"": {name: files}})
    (tmp_path / "photos/cat/bad.jpg").write_bytes(b"<html>404")
    return ["photos", "--folder=photos", "--data_dir=data"]


def commands_in(text):
    """The words after `python -m kdjax` of each command."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(x)[3:] for x in lines if x.startswith("python -m kdjax ")]


def test_own_images_with_their_config_and_commands(tmp_path, capsys):
    words = photos(tmp_path)
    assert main(words) == 0
    streams = capsys.readouterr()
    lines = streams.out.splitlines()
    assert lines[0] == (
        "photos: train 8, validation 2; 1 unreadable, left out; from photos; "
        "data/photos/1.0.0"
    )
    assert lines[1].split() == "classes 2, each with 4 training images".split()
    assert "20% of each class to validation" in lines[2] and "seed 0" in lines[2]
    assert (
        "height 32 and width 32 pixels" in lines[3]
        and "of 8 training images" in lines[5]
    )
    assert "moved by up to 4 pixels; mirrored at random" in lines[6]
    assert "photos/cat/bad.jpg: cannot be read (it is a web page" in streams.err
    teacher, student = commands_in(streams.out)
    config = tmp_path / "data/photos/1.0.0/config.py"
    assert teacher[1] == "--config=data/photos/1.0.0/config.py:teacher"
    assert commands_in(config.read_text()) == [teacher, student]
    # The same once more shows the same, and leaves the config that was edited.
    config.write_text(config.read_text() + "# mine\n")
    assert main(words) == 0
    again = capsys.readouterr().out.splitlines()
    assert "was prepared already" in again[0] and again[1:] == lines[1:]
    assert config.read_text().endswith("# mine\n")
    assert main([*words, "--validation=0.4"]) == 2
    assert "--validation was 0.2 and is 0.4" in capsys.readouterr().err


def test_no_part_is_split_off_where_that_is_wanted(tmp_path, capsys):
    assert main([*photos(tmp_path), "--validation=0"]) == 0
    printed = capsys.readouterr().out
    assert "no images to validate with" in printed
    assert printed.startswith("photos: train 10; ")


def test_a_config_where_it_is_wanted(tmp_path, capsys):
    words = [*photos(tmp_path), "--config_out=mine.py"]
    assert main(words) == 0 and main(words) == 0
    teacher, _ = commands_in(capsys.readouterr().out)[:2]
    assert teacher[:2] == ["train", "--config=mine.py:teacher"]
    (tmp_path / "mine.py").write_text("other = 1\n")
    assert main(words) == 2
    assert "mine.py exists and is another" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert 'config.data.name = "photos:1.0.0"' in (tmp_path / "mine.py").read_text()
    words[-1] = "--config_out=configs/mine.py"  # a folder that is not there yet
    assert main(words) == 0 and (tmp_path / "configs/mine.py").exists()
    for path in ("configs", "mine.txt"):
        words[-1] = f"--config_out={path}"
        assert main(words) == 2
        assert f"{path} is no file FILE.py" in capsys.readouterr().err
    assert not (tmp_path / "data/photos/1.0.0/config.py").exists()


@pytest.mark.long
def test_what_is_typed_trains(tmp_path, capsys, as_they_are):
    """The commands as they are printed, cut to an epoch of smaller networks."""
    assert main(photos(tmp_path)) == 0
    teacher, student = commands_in(capsys.readouterr().out)
    network = "tests.networks:coarse"
    short = [f"--config.model.name={network}", f"--allow_code={network}"]
    short.append("--config.total_epochs=1")
    for words in (teacher, student):
        assert __main__.main([*words, *short]) == 0
    assert "runs/photos/student" in " ".join(student)
    assert (tmp_path / "runs/photos/student/metrics.jsonl").exists()
