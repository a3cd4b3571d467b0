"""Sets in another form: the same pictures, positions and evaluation crops."""

import io

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from kdjax.cli import prepare
from kdjax.data.errors import DataError
from kdjax.data.images.crops import Geometry, crop_bits
from kdjax.data.images.decode import Unreadable, decode
from kdjax.data.images.fast_crop import resample
from kdjax.data.load import load_split
from kdjax.datasets.convert_images import derive, derived_name
from kdjax.datasets.image_formats import Pixels, ShortSide, options_of
from kdjax.experiment import defaults
from kdjax.experiment.data import load_data
from tests.data.jpegs import decoded, encode, picture, pictures, prepare_jpegs

pytestmark = pytest.mark.usefixtures("no_network")
ROWS = pictures(20)  # short sides 40 to 60 or so: above and below 48
SIDE = 48
CROPS = Geometry(size=40, short_side=SIDE)
FORMS = {"jpeg": ShortSide(SIDE), "pixels": Pixels(SIDE)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Original and both forms, and the names of the three."""
    data_dir = tmp_path_factory.mktemp("forms")
    prepare_jpegs(data_dir, {"train": ROWS, "test": ROWS[:7]})
    names = {"original": "jpeg_set"}
    for key, form in FORMS.items():
        done = derive("jpeg_set", form, data_dir=data_dir, skip_at_most=0)
        names[key] = done.name
        assert done.splits == {"test": 7, "train": 20} and not done.skipped
        assert done.source == "jpeg_set/1.0.0"
        assert done.directory == data_dir / "jpeg_set" / form.name / "1.0.0"
    return data_dir, names


def opened(prepared, which, split="train", crops=CROPS):
    data_dir, names = prepared
    return load_split(names[which], split, data_dir=data_dir, crops=crops)


def files(prepared, which, split="train"):
    images = opened(prepared, which, split).image
    return [images.content(index) for index in range(len(images))]


def beside(prepared, which):
    """(original, other form) of every picture."""
    return zip(files(prepared, "original"), files(prepared, which), strict=True)


def test_names_say_what_they_are(prepared):
    assert prepared[1] == {
        "original": "jpeg_set",
        "jpeg": "jpeg_set/short_side_48_quality_95",
        "pixels": "jpeg_set/pixels_48",
    }
    identity = opened(prepared, "pixels").identity
    assert (identity["name"], identity["version"]) == ("jpeg_set/pixels_48", "1.0.0")
    named = derived_name("imagenet2012:5.1.0", ShortSide(256, 90))
    assert named == "imagenet2012/short_side_256_quality_90:5.1.0"
    assert derived_name("a/b", Pixels(9)) == "a/b-pixels_9"


@pytest.mark.parametrize("which", ["jpeg", "pixels"])
def test_positions_labels_and_names_stay(prepared, which):
    same = opened(prepared, "original"), opened(prepared, which)
    np.testing.assert_array_equal(*(split.label for split in same))
    assert same[0].class_names == same[1].class_names
    number = [
        [round(float(np.median(decode(c)[..., 0])) / 10) for c in files(prepared, w)]
        for w in ("original", which)
    ]
    assert number[0] == number[1] and len(set(number[0])) > 15
    skip = {"image": tfds.decode.SkipDecoding()}
    names = []
    for name in ("jpeg_set", prepared[1][which]):
        directory = prepared[0] / name / "1.0.0"
        rows = tfds.builder_from_directory(directory).as_data_source(
            "train", decoders=skip
        )
        names.append([row["file_name"] for row in rows])
    assert names[0] == names[1]


def test_the_short_side_is_made_by_area_means(prepared):
    for content, small in beside(prepared, "pixels"):
        image, found = decoded(content), decode(small)
        height, width = image.shape[:2]
        short = min(height, width)
        if short <= SIDE:
            np.testing.assert_array_equal(found, image)
            continue
        assert min(found.shape[:2]) == SIDE
        size = [SIDE if n == short else int(SIDE * n / short) for n in (width, height)]
        wanted = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(found, wanted)


def test_small_jpegs_are_not_encoded_again(prepared):
    kept = 0
    for content, small in beside(prepared, "jpeg"):
        if min(decoded(content).shape[:2]) <= SIDE:
            assert content == small
            kept += 1
        else:
            assert min(Image.open(io.BytesIO(small)).size) == SIDE
    assert 0 < kept < 20


def test_evaluations_see_the_same_crops(prepared):
    wanted = opened(prepared, "original", "test").image[:]
    np.testing.assert_array_equal(opened(prepared, "pixels", "test").image[:], wanted)
    lossy = opened(prepared, "jpeg", "test").image[:]
    apart = np.abs(lossy.astype(int) - wanted)
    assert 0 < apart.mean() < 2 and apart.max() < 20


def test_training_crops_of_pixels_are_cut_where_the_bits_say(prepared):
    image = opened(prepared, "pixels").image
    for index in (0, 7, 19):
        whole = decode(image.content(index))
        box = CROPS.random(*whole.shape[:2], crop_bits(3, 1, index))
        found, used = image.training_crop(3, 1, index)
        part = whole[box.top :, box.left :][: box.height, : box.width]
        wanted = resample(part, np.empty((40, 40, 3), np.uint8))
        np.testing.assert_array_equal(found, wanted)
        assert used == index


def test_tfds_reads_pixels_too(prepared):
    directory = prepared[0] / prepared[1]["pixels"] / "1.0.0"
    rows = tfds.builder_from_directory(directory).as_data_source("test")
    for row, content in zip(rows, files(prepared, "pixels", "test"), strict=True):
        np.testing.assert_array_equal(row["image"], decode(content))


def test_pixels_that_are_not_whole():
    content = Pixels(SIDE).make(encode(picture(30, 40)))
    assert decode(content).shape == (30, 40, 3)
    for wrong in (content[:-1], content + b"\0", content.replace(b"40 30", b"40 31")):
        with pytest.raises(Unreadable, match="pixels of another number"):
            decode(wrong)
    with pytest.raises(Unreadable):
        decode(b"P6\n40")


@pytest.mark.parametrize("kind", [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG")])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_rare_kinds_become_plain_ones(form, kind):
    image = picture(50, 60, 9)
    content = form.make(encode(image, *kind))
    small = cv2.resize(image, (57, 48), interpolation=cv2.INTER_AREA).astype(int)
    if kind[0] == "L":
        small = np.array(Image.fromarray(small.astype(np.uint8)).convert("L"))[
            ..., None
        ]
        small = small.astype(int)
    assert np.abs(decode(content) - small).mean() < 3
    assert Image.open(io.BytesIO(content)).mode == "RGB"
    little = form.make(encode(image[:20], *kind))
    assert decode(little).shape == (20, 60, 3)


def test_unreadable_pictures_are_left_out_or_an_error(tmp_path):
    rows = [(c[:900] if i in (2, 5) else c, label) for i, (c, label) in enumerate(ROWS)]
    prepare_jpegs(tmp_path, {"train": rows})
    how = {"data_dir": tmp_path}
    with pytest.raises(DataError, match=r"train, image \d+, record \d+ of .*--skip_at"):
        derive("jpeg_set", Pixels(20), skip_at_most=1, **how)
    assert [p.name for p in (tmp_path / "jpeg_set").iterdir()] == ["1.0.0"]
    done = derive("jpeg_set", Pixels(20), skip_at_most=2, **how)
    kept = [np.load(path) for path in done.directory.glob("kdjax-labels-*.npy")]
    rows = tfds.builder_from_directory(done.directory).as_data_source("train")
    assert [labels.tolist() for labels in kept] == [[row["label"] for row in rows]]
    assert done.splits == {"train": 18} and len(done.skipped) == 2


def test_it_is_made_once_and_outlives_its_source(tmp_path):
    builder = prepare_jpegs(tmp_path, {"train": ROWS[:3]})
    first = derive("jpeg_set", Pixels(20), data_dir=tmp_path, skip_at_most=0)
    for path in builder.data_path.iterdir():
        path.unlink()
    again = derive("jpeg_set", Pixels(20), data_dir=tmp_path, skip_at_most=0)
    assert again == first._replace(source=None)
    crops = {"size": 16, "short_side": 20}
    section = defaults.nested()["data"] | {
        "name": "jpeg_set/pixels_20", "data_dir": str(tmp_path), "test": "train",
        "feed": "streamed", "crops": crops, "flip": True,
        "mean": (0.5,) * 3, "std": (0.2,) * 3,
    }  # fmt: skip
    assert load_data(section).test.image[:].shape == (3, 16, 16, 3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ShortSide(1), "--short_side is 1; expected 2 to 4096"),
        (lambda: Pixels(5000), "--pixels is 5000; expected 2 to 4096"),
        (lambda: ShortSide(9, 101), "--quality is 101; expected 1 to 100"),
    ],
)
def test_wrong_forms(make, message):
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize("form", [ShortSide(256, 90), Pixels(160)])
def test_a_form_that_is_missing_is_told_how_to_come_by(tmp_path, form):
    options = options_of(form.name)
    wanted = f"Type: python -m kdjax prepare mine {options} --data_dir={tmp_path}"
    with pytest.raises(DataError, match=wanted):
        load_split(f"mine/{form.name}", "train", data_dir=tmp_path)
    parser = prepare.read(["mine", *options.split()])
    assert prepare.form_of(parser) == form
    assert options_of("small") is None


def test_wrong_sets(tmp_path):
    with pytest.raises(DataError, match="jpeg_set is not prepared"):
        derive("jpeg_set", Pixels(20), data_dir=tmp_path, skip_at_most=0)
    prepare_jpegs(tmp_path, {"train": [(encode(picture(9, 9), "L"), 0)]}, channels=1)
    with pytest.raises(DataError, match=r"images have 1 channel.*in colour"):
        derive("jpeg_set", Pixels(20), data_dir=tmp_path, skip_at_most=0)
