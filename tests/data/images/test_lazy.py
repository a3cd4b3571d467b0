"""Pictures, labels and damage of a set that stays in its files."""

import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from kdjax.data.images.crops import Geometry, crop_bits
from kdjax.data.load import crops_of, load_split, size_on_disk
from kdjax.data.loaders.loader import is_streamed
from kdjax.data.split import DataError
from kdjax.data.tfds import labels
from tests.data.jpegs import decoded, encode, picture, pictures, prepare_jpegs

pytestmark = pytest.mark.usefixtures("no_network")
GEOMETRY = Geometry(size=28, short_side=32)
ROWS = pictures(20)
WHOLE, HALF = ROWS[0][0], ROWS[0][0][:900]


def opened(data_dir, split="train", skip_at_most=0, geometry=GEOMETRY):
    how = {"data_dir": data_dir, "crops": geometry, "skip_at_most": skip_at_most}
    return load_split("jpeg_set", split, **how)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("stored")
    return data_dir, prepare_jpegs(data_dir, {"train": ROWS})


@pytest.fixture
def damaged(tmp_path):
    """Ten pictures, and which of them, in the order of TFDS, are cut short: three."""
    rows = [(HALF if i in (2, 3, 7) else ROWS[i][0], i % 5) for i in range(10)]
    builder = prepare_jpegs(tmp_path, {"train": rows})
    names = [row["file_name"] for row in _undecoded(builder)]
    bad = [i for i, n in enumerate(names) if n in (b"2.JPEG", b"3.JPEG", b"7.JPEG")]
    return tmp_path, bad


def _undecoded(builder, split="train"):
    import tensorflow_datasets as tfds

    skip = {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source(split, decoders=skip)


def test_it_stands_where_an_array_would(prepared):
    data_dir, builder = prepared
    split = opened(data_dir)
    assert is_streamed(split) and len(split.image) == 20
    assert split.image.shape == (20, 28, 28, 3) and split.image.dtype == np.uint8
    rows = list(_undecoded(builder))
    assert split.label.tolist() == [row["label"] for row in rows]
    assert split.label.dtype == np.int32
    assert split.class_names == tuple("01234")
    actual = split.image[3:9]
    for image, row in zip(actual, rows[3:9], strict=True):
        whole = decoded(row["image"])
        height, width = whole.shape[:2]
        short = min(height, width)
        shape = [32 if n == short else int(32 * n / short) for n in (width, height)]
        resized = cv2.resize(whole, shape, interpolation=cv2.INTER_AREA)
        top, left = (round((n - 28) / 2) for n in resized.shape[:2])
        np.testing.assert_array_equal(image, resized[top : top + 28, left : left + 28])


def test_identity_tells_files_labels_and_crops(prepared, tmp_path):
    data_dir, builder = prepared
    split = opened(data_dir)
    assert split.identity | {"sha256": ""} == {
        "name": "jpeg_set",
        "version": "1.0.0",
        "split": "train",
        "num_examples": 20,
        "sha256": "",
        "crops": {"size": 28, "short_side": 32, "smallest_area": 0.08},
        "pixels": 1,
    }
    assert crops_of(split.identity) == GEOMETRY and crops_of({"name": "x"}) is None
    others = [ROWS, [*ROWS[:-1], (ROWS[-1][0], 0)], ROWS[:-1]]
    sums = []
    for number, rows in enumerate(others):
        prepare_jpegs(tmp_path / str(number), {"train": rows})
        sums.append(opened(tmp_path / str(number)).identity["sha256"])
    assert sums[0] == split.identity["sha256"] and len(set(sums)) == 3
    assert size_on_disk("jpeg_set", data_dir) == builder.info.dataset_size > 20_000


def test_training_crops_are_cut_where_the_bits_say(prepared):
    data_dir, builder = prepared
    split, rows = opened(data_dir), list(_undecoded(builder))
    for index in (0, 7, 19):
        actual, used = split.image.training_crop(3, 2, index)
        whole = decoded(rows[index]["image"])
        box = GEOMETRY.random(*whole.shape[:2], crop_bits(3, 2, index))
        part = whole[box.top : box.top + box.height, box.left : box.left + box.width]
        expected = Image.fromarray(part).resize((28, 28), Image.BILINEAR)
        difference = np.abs(actual.astype(int) - np.asarray(expected))
        assert difference.max() <= 4 and difference.mean() < 0.5
        assert used == index


def test_a_part_of_a_split_keeps_its_pictures(prepared):
    split = opened(prepared[0])
    keep = np.arange(20) % 3 == 1
    part = split.image[keep]
    assert part.shape == (7, 28, 28, 3)
    np.testing.assert_array_equal(part[:], split.image[:][keep])
    slice_of = opened(prepared[0], "train[5:12]")
    np.testing.assert_array_equal(slice_of.image[:], split.image[5:12])
    np.testing.assert_array_equal(slice_of.label, split.label[5:12])


def test_labels_are_read_once(prepared, monkeypatch):
    expected = opened(prepared[0], "train[:9]").label

    def refuse(*_):
        raise AssertionError("the records are read again")

    monkeypatch.setattr(labels, "examples", refuse)
    np.testing.assert_array_equal(opened(prepared[0], "train[:9]").label, expected)
    with pytest.raises(AssertionError):
        opened(prepared[0], "train[:10]")


def test_reading_all_of_it_is_told(tmp_path, monkeypatch, capsys):
    prepare_jpegs(tmp_path, {"train": ROWS})
    monkeypatch.setattr(labels, "_REPORT_EVERY", -1)
    opened(tmp_path)
    output = capsys.readouterr().err
    assert "jpeg_set/1.0.0, train: reading all of it once, for its labels: 7 of 20" in (
        output
    )
    opened(tmp_path)
    assert "reading" not in capsys.readouterr().err


def test_kept_labels_of_other_files_are_not_believed(tmp_path):
    builder = prepare_jpegs(tmp_path, {"train": ROWS})
    before = opened(tmp_path).label
    (cached,) = pathlib.Path(builder.data_dir).glob("kdjax-labels-*.npy")
    cached.write_bytes(cached.read_bytes()[:-9])
    np.testing.assert_array_equal(opened(tmp_path).label, before)
    # Those of other records, and of as many: a few of them are compared.
    np.save(cached, np.roll(before, 1))
    np.testing.assert_array_equal(opened(tmp_path).label, before)
    np.testing.assert_array_equal(np.load(cached), before)


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    prepare_jpegs(tmp_path, {"train": ROWS[:3]})

    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(np, "save", refuse)
    with pytest.warns(UserWarning, match="kdjax-labels.*read-only"):
        assert len(opened(tmp_path).label) == 3


def test_the_next_readable_picture_takes_the_place(damaged):
    data_dir, bad = damaged
    split = opened(data_dir, skip_at_most=3)
    for index in range(10):
        expected = next(i % 10 for i in range(index, index + 10) if i % 10 not in bad)
        actual, used = split.image.training_crop(0, 1, index)
        assert used == expected
        again = split.image.training_crop(0, 1, expected)[0]
        np.testing.assert_array_equal(actual, again)
    assert len(split.image.skipped.errors) == 3  # however often they were tried
    # A part of the split counts together with the rest.
    assert split.image[np.arange(10) > 2].skipped is split.image.skipped


def test_one_too_many_is_named(damaged):
    data_dir, bad = damaged
    split = opened(data_dir, skip_at_most=2)
    expected = (
        r"jpeg_set/1.0.0, train, image \d+, record \d+ of .*/jpeg_set-train"
        r"\.array_record-00000-of-00001: this image cannot be read "
        r"\(Premature end.*2 others"
    )
    with pytest.raises(DataError, match=expected):
        for index in range(10):
            split.image.training_crop(0, 0, index)
    names = [split.image.name_of(index) for index in bad]
    assert all(
        f"image {i}, record {i} of" in n for i, n in zip(bad, names, strict=True)
    )
    rest = opened(data_dir, "train[4:]").image
    assert "image 1, record 5 of" in rest.name_of(1)


def test_an_evaluation_leaves_none_out(damaged):
    data_dir, bad = damaged
    split = opened(data_dir, skip_at_most=9)
    with pytest.raises(
        DataError, match=rf"image {bad[0]}, .*may leave none out.*prepare.*another set"
    ):
        split.image[:]


def test_nothing_but_damage(tmp_path):
    prepare_jpegs(tmp_path, {"train": [(HALF, 0), (b"", 1)]})
    with pytest.raises(DataError, match="not one image can be read"):
        opened(tmp_path, skip_at_most=5).image.training_crop(0, 0, 0)


def test_rare_kinds_are_read_not_skipped(tmp_path):
    image = picture(50, 60, 9)
    kinds = [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("L", "PNG")]
    prepare_jpegs(tmp_path, {"train": [(encode(image, *k), 0) for k in kinds]})
    split = opened(tmp_path)
    assert split.image[:].shape == (4, 28, 28, 3) and not split.image.skipped.errors


@pytest.mark.errors
def test_errors(tmp_path):
    with pytest.raises(
        DataError, match="x.npz cannot be streamed: it is read as a whole"
    ):
        load_split("x.npz", "train", crops=GEOMETRY)
    with pytest.raises(DataError, match="jpeg_set is not prepared"):
        opened(tmp_path)
    prepare_jpegs(tmp_path, {"train": [(encode(picture(9, 9), "L"), 0)]}, channels=1)
    with pytest.raises(DataError, match=r"images have 1 channel"):
        opened(tmp_path)
    with pytest.raises(ValueError, match="SkippedImages: limit is -1"):
        prepare_jpegs(tmp_path / "rgb", {"train": ROWS[:2]})
        opened(tmp_path / "rgb", skip_at_most=-1)
