"""Folders of pictures, through `prepare_folder`, read back by TFDS and by kdjax."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.split import DataError
from kdjax.datasets import sharded_writer
from kdjax.datasets.folder_builder import prepare_folder
from tests.data.jpegs import decoded, encode, picture
from tests.datasets.miniature_imagenet import tiny, write_folder

pytestmark = pytest.mark.usefixtures("no_network")
IMAGE = picture(50, 60, 9)
KINDS = {
    "a.JPEG": encode(IMAGE),
    "grey.jpg": encode(IMAGE, "L"),
    "print.jpeg": encode(IMAGE, "CMYK"),
    "png.JPEG": encode(IMAGE, "RGB", "PNG"),
    "alpha.png": encode(IMAGE, "RGBA", "PNG"),
    "Upper.JPG": encode(IMAGE, subsampling=2),
}
DAMAGED = {
    "cut.JPEG": KINDS["a.JPEG"][:900],
    "empty.JPEG": b"",
    "page.JPEG": b"<html>404</html>",
    "dot.JPEG": encode(IMAGE[:1, :1]),
}
GOOD = {"train": {"cat": KINDS, "dog": {"0.JPEG": tiny(3)}}, "val": {"dog": KINDS}}


def prepared(tmp_path, splits, skip_at_most=0, name="mine", **how):
    write_folder(tmp_path / "in", splits)
    how = {"data_dir": tmp_path / "data", "skip_at_most": skip_at_most} | how
    return prepare_folder(name, tmp_path / "in", **how)


def stored(done, split):
    skip = {"image": tfds.decode.SkipDecoding()}
    builder = tfds.builder_from_directory(done.directory)
    return list(builder.as_data_source(split, decoders=skip))


def test_files_are_stored_as_they_are(tmp_path):
    done = prepared(tmp_path, GOOD)
    assert done.splits == {"train": 7, "validation": 6} and not done.skipped
    assert done.directory == tmp_path / "data" / "mine" / "1.0.0"
    builder = tfds.builder_from_directory(done.directory)
    names = builder.info.features["label"].names
    assert names == ["cat", "dog"]
    for split, classes in (("train", GOOD["train"]), ("validation", GOOD["val"])):
        rows = {row["file_name"].decode(): row for row in stored(done, split)}
        files = {
            f"{c}/{n}": d for c, group in classes.items() for n, d in group.items()
        }
        assert {name: row["image"] for name, row in rows.items()} == files
        assert all(names[row["label"]] == n.split("/")[0] for n, row in rows.items())


def test_it_is_streamed_like_any_other(tmp_path):
    prepared(tmp_path, GOOD)
    crops = Geometry(size=50, short_side=50)
    split = load_split("mine", "validation", data_dir=tmp_path / "data", crops=crops)
    assert split.class_names == ("cat", "dog") and set(split.label) == {1}
    visited = split.image[:].astype(int)
    grey = decoded(KINDS["grey.jpg"])[:, 5:55]
    difference = np.abs(visited - grey).mean((1, 2, 3))
    assert difference.min() == 0 and not split.image.skipped.errors
    colour = decoded(KINDS["a.JPEG"])[:, 5:55]
    assert (np.sort(np.abs(visited - colour).mean((1, 2, 3)))[:5] < 3).all()


def test_a_first_start_reads_no_record(tmp_path, monkeypatch):
    """Labels are those that TFDS reads, without what was left out."""
    train = {"dog": {f"{i}.JPEG": tiny(i) for i in range(9)}, "cat": KINDS | DAMAGED}
    splits = {"train": train, "val": GOOD["val"]}
    done = prepared(tmp_path, splits, skip_at_most=4)

    def refuse(*_):
        raise AssertionError("the records are read")

    monkeypatch.setattr("kdjax.data.tfds.labels.examples", refuse)
    monkeypatch.chdir(tmp_path)
    crops = Geometry(size=8, short_side=8)
    for data_dir in (tmp_path / "data", "data"):
        for name in ("train", "validation"):
            split = load_split("mine", name, data_dir=data_dir, crops=crops)
            expected = [row["label"] for row in stored(done, name)]
            assert split.label.tolist() == expected and split.label.dtype == np.int32


def test_pictures_of_a_class_do_not_lie_together(tmp_path):
    classes = {c: {f"{i}.JPEG": tiny(i) for i in range(40)} for c in "abc"}
    done = prepared(tmp_path, {"train": classes})
    labels = np.array([row["label"] for row in stored(done, "train")])
    assert (np.bincount(labels[:40], minlength=3) > 5).all()


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    train = {"cat": KINDS | DAMAGED, "dog": {"0.JPEG": tiny(3)}}
    done = prepared(tmp_path, {"train": train}, skip_at_most=4)
    assert done.splits == {"train": 7}
    assert {name.rsplit("/", 1)[-1] for name in done.skipped} == set(DAMAGED)
    assert str(tmp_path / "in/train/cat/cut.JPEG") in done.skipped
    names = {row["file_name"].decode() for row in stored(done, "train")}
    assert names == {f"cat/{n}" for n in KINDS} | {"dog/0.JPEG"}


@pytest.mark.parametrize("limit", [0, 3])
def test_one_too_many_is_an_error_and_leaves_nothing(tmp_path, limit):
    train = {"cat": KINDS | DAMAGED}
    expected = f"4 images cannot be read; expected {limit} at most:\n"
    with pytest.raises(DataError, match=expected) as refused:
        prepared(tmp_path, {"train": train}, skip_at_most=limit)
    assert all(f"in/train/cat/{name} (" in str(refused.value) for name in DAMAGED)
    assert "allow more with --skip_at_most" in str(refused.value)
    assert list((tmp_path / "data").iterdir()) == []


def test_nothing_but_damage(tmp_path):
    with pytest.raises(DataError, match="train: not one image can be read"):
        prepared(tmp_path, {"train": {"cat": DAMAGED}}, skip_at_most=9)


def test_many_files_in_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded_writer, "ShardConfig", lambda: Shards())
    classes = {"a": {f"{i}.JPEG": tiny(i) for i in range(23)}, "b": dict(DAMAGED)}
    done = prepared(tmp_path, {"train": classes}, skip_at_most=4)
    files = sorted(done.directory.glob("*array_record*"))
    assert len(files) == 5 and files[0].name.endswith("-00000-of-00005")
    assert len(stored(done, "train")) == 23
    visited = load_split(
        "mine",
        "train",
        data_dir=tmp_path / "data",
        crops=Geometry(size=8, short_side=8),
    )
    assert visited.image[:].shape == (23, 8, 8, 3)


class Shards:
    """TFDS's choice for a set of some gigabytes."""

    def get_number_shards(self, size, count):
        assert size > 1000 and count == 27
        return 5


def test_progress_and_other_files_are_logged(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded_writer, "_REPORT_EVERY", -1)
    lines = []
    splits = {"train": {"a": {"0.JPEG": tiny(0), "notes.txt": b"x", ".hidden": b"y"}}}
    done = prepared(tmp_path, splits, log=lines.append)
    assert done.facts["warnings"] == [
        "1 files or folders are no images, and ignored:",
        f"    {tmp_path / 'in/train/a/notes.txt'}",
    ]
    assert "mine, train: 0 of 1" in lines


def test_the_second_time_reads_nothing(tmp_path):
    first = prepared(tmp_path, GOOD)
    again = prepare_folder(
        "mine", tmp_path / "in", data_dir=tmp_path / "data", skip_at_most=0
    )
    assert again == first._replace(source=None)
    with pytest.raises(DataError, match="gone is not a directory"):
        prepare_folder("mine", tmp_path / "gone", data_dir=tmp_path / "data")
    other = prepare_folder(
        "mine:2.0.0", tmp_path / "in", data_dir=tmp_path / "data", skip_at_most=0
    )
    assert other.directory.name == "2.0.0"


A = {"a.JPEG": tiny(0)}


@pytest.mark.parametrize(
    "splits, message",
    [
        ({"val": {"x": A}, "test": {"x": A}}, r"no folder train; it has test/, val/"),
        (
            {"train": {"a": A}, "val": {"b": A}},
            "1 classes are not in train:\n    val/b",
        ),
        ({"train": {"a": A, "b": {"c.txt": b""}}}, "train/b has no images; .*c.txt"),
        ({"train": {"a": A, "b/c": A}}, "train/b/c is a folder in a class\n  Expected"),
        ({"train": {"a": A}, "val": {"a": A}, "valid": {"a": A}}, "both val and valid"),
    ],
)
def test_other_layouts_are_described(tmp_path, splits, message):
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, splits)


def test_other_requests(tmp_path):
    write_folder(tmp_path / "in", {"train": {"a": A}})
    (tmp_path / "in/val").mkdir()
    (tmp_path / "in/val/1.JPEG").write_bytes(A["a.JPEG"])
    how = {"data_dir": tmp_path / "data", "skip_at_most": 0}
    with pytest.raises(DataError, match="val has no folders of classes; it has 1.JP"):
        prepare_folder("mine", tmp_path / "in", **how)
    with pytest.raises(DataError, match="nowhere is not a directory. Expected DIR/CL"):
        prepare_folder("mine", tmp_path / "nowhere", **how)
    with pytest.raises(DataError, match="a folder's set has no config"):
        prepare_folder("mine/small", tmp_path / "in", **how)
    with pytest.raises(DataError, match="is not the name of a data set"):
        prepare_folder("my set", tmp_path / "in", **how)


def test_a_file_that_its_disk_does_not_give_is_named(tmp_path, monkeypatch):
    def failing(path):
        if path.name == "0.JPEG":
            raise OSError(5, "Input/output error")
        return whole(path)

    whole = pathlib.Path.read_bytes
    monkeypatch.setattr(pathlib.Path, "read_bytes", failing)
    expected = "in/train/dog/0.JPEG: its disk does not give it .*Look at that disk"
    with pytest.raises(DataError, match=expected):
        prepared(tmp_path, GOOD, skip_at_most=9)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def failing(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    listed = os.scandir
    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(DataError, match="cannot be listed .*train/dog"):
        prepared(tmp_path, GOOD)


def test_a_link_to_nothing_counts_as_unreadable(tmp_path):
    write_folder(tmp_path / "in", GOOD)
    link = tmp_path / "in/train/dog/lost.JPEG"
    link.symlink_to(tmp_path / "moved.JPEG")
    linked = tmp_path / "in/train/dog/linked.JPEG"
    linked.symlink_to(tmp_path / "in/train/dog/0.JPEG")
    how = {"data_dir": tmp_path / "data"}
    with pytest.raises(DataError, match=r"lost.JPEG \(a link to nothing"):
        prepare_folder("mine", tmp_path / "in", skip_at_most=0, **how)
    done = prepare_folder("mine", tmp_path / "in", skip_at_most=1, **how)
    assert done.splits["train"] == 8 and list(done.skipped) == [str(link)]
