"""TFRecord files, framed here by hand, become array_record files."""

import json
import struct

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.split import DataError
from kdjax.datasets import tfrecord
from kdjax.datasets.crc32c import masked
from tests.data.jpegs import odd_header, pictures, prepare_jpegs

pytestmark = pytest.mark.usefixtures("no_network")
ROWS = pictures(9)
RAW = tfds.decode.DeserializeMethod.RAW_BYTES


def framed(record):
    """Length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    sums = (struct.pack("<I", masked(one)) for one in (length, record))
    return length + next(sums) + record + next(sums)


def convert(name, source, skip_at_most=0, **how):
    return tfrecord.convert_tfrecord(name, source, skip_at_most=skip_at_most, **how)


def records(directory, split):
    builder = tfds.builder_from_directory(directory)
    return list(builder.as_data_source(split, deserialize_method=RAW))


@pytest.fixture
def old(tmp_path):
    return as_tfrecord(tmp_path, {"train": ROWS, "test": ROWS[:4]})


def as_tfrecord(tmp_path, rows):
    """A set as TFDS writes it in its default format, and its records."""
    builder = prepare_jpegs(tmp_path / "old", rows)
    directory = builder.data_path
    actual = {split: records(directory, split) for split in rows}
    for split, rows in actual.items():
        (path,) = directory.glob(f"*-{split}.array_record-*")
        content = b"".join(map(framed, rows))
        path.with_name(path.name.replace("array_", "tf")).write_bytes(content)
        path.unlink()
    path = directory / "dataset_info.json"
    info = json.loads(path.read_text()) | {"fileFormat": "tfrecord"}
    path.write_text(json.dumps(info))
    return tmp_path / "old", actual


def test_the_same_records(old, tmp_path):
    source, actual = old
    done = convert("jpeg_set", source, data_dir=tmp_path / "new")
    assert done.splits == {"test": 4, "train": 9}
    assert done.directory == tmp_path / "new" / "jpeg_set" / "1.0.0"
    assert done.source == str(source / "jpeg_set" / "1.0.0")
    for split, rows in actual.items():
        assert records(done.directory, split) == rows
    rows = tfds.builder_from_directory(done.directory).as_data_source("test")
    assert all(row["image"].dtype == np.uint8 for row in rows)
    again = convert("jpeg_set", source, data_dir=tmp_path / "new")
    assert again == done._replace(source=None)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["jpeg_set"]


def test_templates_with_the_format_written_out(old, tmp_path):
    source, actual = old
    path = source / "jpeg_set/1.0.0/dataset_info.json"
    path.write_text(path.read_text().replace("{FILEFORMAT}", "tfrecord"))
    done = convert("jpeg_set", source, data_dir=tmp_path / "new")
    assert records(done.directory, "train") == actual["train"]


def test_pictures_are_decoded_once_and_unreadable_ones_left_out(tmp_path, monkeypatch):
    rows = list(ROWS)
    rows[3] = (rows[3][0][:-300], 3)
    rows[5] = (odd_header(rows[5][0]), 0)
    source, actual = as_tfrecord(tmp_path, {"train": rows})
    with pytest.raises(DataError, match=r"tfrecord-0.*, record \d: .* Prepare the set"):
        convert("jpeg_set", source, data_dir=tmp_path / "new")
    done = convert("jpeg_set", source, data_dir=tmp_path / "new", skip_at_most=1)
    assert done.splits == {"train": 8} and len(done.skipped) == len(done.doubtful) == 1
    assert "Premature end" in next(iter(done.skipped.values()))
    assert len(set(records(done.directory, "train")) & set(actual["train"])) == 7
    names = tfds.builder_from_directory(done.directory).as_data_source("train")
    assert {row["file_name"] for row in names} == {
        f"{i}.JPEG".encode() for i in range(9) if i != 3
    }
    expected = [row["label"] for row in names]
    monkeypatch.setattr(
        "kdjax.data.tfds.labels.examples", None
    )  # they are kept already
    crops = Geometry(size=8, short_side=8)
    split = load_split("jpeg_set", "train", data_dir=tmp_path / "new", crops=crops)
    assert split.label.tolist() == expected and split.image[:].shape == (8, 8, 8, 3)


@pytest.mark.parametrize("end", [-1, -40, 5])
def test_files_that_are_cut_short(old, tmp_path, end):
    (path,) = (old[0] / "jpeg_set/1.0.0").glob("*-train.tfrecord*")
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DataError, match=r"train.*ends within record \d; copy it anew"):
        convert("jpeg_set", old[0], data_dir=tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_records_that_are_missing(old, tmp_path):
    (path,) = (old[0] / "jpeg_set/1.0.0").glob("*-train.tfrecord*")
    path.write_bytes(framed(old[1]["train"][0]))
    with pytest.raises(DataError, match="has 1 records; expected 9, as dataset_info"):
        convert("jpeg_set", old[0], data_dir=tmp_path / "new")


def test_other_requests(old, tmp_path):
    with pytest.raises(DataError, match="TFDS keeps one format .* Expected another"):
        convert("jpeg_set", old[0], data_dir=old[0])
    with pytest.raises(DataError, match="imagenet2012 is not prepared in .*old"):
        convert("imagenet2012", old[0], data_dir=tmp_path / "new")
    prepare_jpegs(tmp_path / "records", {"train": ROWS[:1]})
    with pytest.raises(DataError, match="stored as array_record; .*--data_dir="):
        convert("jpeg_set", tmp_path / "records", data_dir=tmp_path / "new")


def test_a_record_that_is_no_example(old, tmp_path):
    (path,) = (old[0] / "jpeg_set/1.0.0").glob("*-test.tfrecord*")
    path.write_bytes(b"".join(framed(r) for r in [*old[1]["test"][:3], b"\xff\xff"]))
    with pytest.raises(DataError, match="tfrecord-.*, record 3: is damaged .*copy it"):
        convert("jpeg_set", old[0], data_dir=tmp_path / "new")
