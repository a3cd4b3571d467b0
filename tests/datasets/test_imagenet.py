"""ImageNet's archives and folders become TFDS's own set, record by record."""

import io
import sys
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import hashing

from kdjax.data.images.decode import decode
from kdjax.data.split import DataError
from kdjax.datasets.archive_builder import builder_class
from kdjax.datasets.archives import imagenet
from kdjax.datasets.folder_builder import prepare_folder
from kdjax.datasets.imagenet import Imagenet2012, Imagenet2012Folders
from kdjax.datasets.prepare import prepare
from tests.data.jpegs import decoded, encode, odd_header, picture
from tests.datasets.miniature_imagenet import (
    SYNSETS,
    tar_of,
    tiny,
    train_pictures,
    validation_pictures,
    write_archives,
    write_folder,
)

pytestmark = pytest.mark.usefixtures("no_network")
FEW = ["n01440764", "n01739381", "n02105855"]
TRAIN = train_pictures(FEW, each=4)
VALIDATION = validation_pictures(7)
SIZES = {"train": 12, "validation": 7}


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(Imagenet2012, "SIZES", SIZES)
    (tmp_path / "tars").mkdir()


def tfds_labels():
    """TFDS's list of the validation labels, as its own builder reads it."""
    path = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt")
    return path.read_text().strip().splitlines()


def stored(data_dir, split):
    """What TFDS reads, through its own builder of that name; files as they are."""
    skip = {"image": tfds.decode.SkipDecoding()}
    how = {"data_dir": data_dir, "download": False, "decoders": skip}
    return list(tfds.data_source("imagenet2012", split=split, **how))


def prepare_tars(tmp_path, train=TRAIN, validation=VALIDATION):
    write_archives(tmp_path / "tars", train, validation)
    where = {"data_dir": tmp_path / "data", "archives": tmp_path / "tars"}
    return prepare("imagenet2012", **where)


def test_archives_become_tfds_own_set(tmp_path):
    done = prepare_tars(tmp_path)
    assert done.splits == SIZES and done.source == str(tmp_path / "tars")
    assert done.directory == tmp_path / "data" / "imagenet2012" / "5.1.0"
    for split, files in (("validation", VALIDATION), ("train", {})):
        rows = stored(tmp_path / "data", split)
        files = files or {k: v for group in TRAIN.values() for k, v in group.items()}
        names = [row["file_name"].decode() for row in rows]
        hasher = hashing.Hasher(split)
        assert names == sorted(files, key=hasher.hash_key)  # TFDS's order
        for row, name in zip(rows, names, strict=True):
            assert row["image"] == files[name]
            synset = name.split("_")[0]
            if split == "validation":
                synset = tfds_labels()[int(name[15:23]) - 1]
            assert SYNSETS[row["label"]] == synset
    assert "tensorflow" not in sys.modules


def test_same_version_and_features_as_the_official_builder(tmp_path):
    official = tfds.builder("imagenet2012", data_dir=tmp_path)
    ours = builder_class("imagenet2012")(
        data_dir=tmp_path, archives=tmp_path, log=print
    )
    assert type(official) is not type(ours)
    assert ours.info.full_name == official.info.full_name
    assert ours.info.features.to_json() == official.info.features.to_json()


def test_its_png_and_its_cmyk_become_plain_jpegs(tmp_path):
    train = {synset: dict(files) for synset, files in TRAIN.items()}
    image = picture(50, 60, 9)
    train["n01739381"]["n01739381_1.JPEG"] = encode(image, "CMYK")
    train["n02105855"]["n02105855_1.JPEG"] = encode(image, "RGB", "PNG")
    grey = train["n01440764"]["n01440764_1.JPEG"] = encode(image, "L")
    prepare_tars(tmp_path, train)
    rows = {r["file_name"]: r["image"] for r in stored(tmp_path / "data", "train")}
    assert rows[b"n01440764_1.JPEG"] == grey
    for name in (b"n01739381_1.JPEG", b"n02105855_1.JPEG"):
        assert rows[name][:2] == b"\xff\xd8"
        assert np.abs(decoded(rows[name]).astype(int) - image).mean() < 3


def test_a_picture_of_which_the_decoder_complains_stops_nothing(tmp_path):
    train = {synset: dict(files) for synset, files in TRAIN.items()}
    image = picture(50, 60, 9)
    train["n01739381"]["n01739381_1.JPEG"] = odd_header(encode(image))
    stray = encode(image)[:-2] + bytes(9) + b"\xff\xd9"
    train["n02105855"]["n02105855_1.JPEG"] = stray
    done = prepare_tars(tmp_path, train)
    rows = {r["file_name"]: r["image"] for r in stored(tmp_path / "data", "train")}
    mended = rows[b"n01739381_1.JPEG"]
    assert np.abs(decode(mended).astype(int) - image).mean() < 2
    assert rows[b"n02105855_1.JPEG"] == stray
    where = f"{tmp_path / 'tars'}, train"
    one, two = (
        done.doubtful[f"{where}, {name}_1.JPEG"]
        for name in ("n01739381/n01739381", "n02105855/n02105855")
    )
    assert len(done.doubtful) == 2 and one.startswith("Invalid SOS parameters")
    assert two.endswith("extraneous bytes before marker 0xd9")


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_folders_become_the_very_same_records(tmp_path, validation):
    prepare_tars(tmp_path)
    names, labels = list(VALIDATION), tfds_labels()
    classes = {}
    for number, name in enumerate(names):
        classes.setdefault(labels[number], {})[name] = VALIDATION[name]
    # A class that is met in validation only is not one of a miniature's train.
    train = {name: {} for name in classes} | TRAIN
    for name in train:
        train[name] = train[name] or {f"{name}_0.JPEG": tiny(1)}
    write_folder(tmp_path / "in", {"train": train, validation: classes})
    sizes = SIZES | {"train": sum(map(len, train.values()))}
    Imagenet2012.SIZES = sizes
    where = {"data_dir": tmp_path / "other", "skip_at_most": 100}
    done = prepare_folder("imagenet2012", tmp_path / "in", **where)
    assert done.splits == sizes
    ours, theirs = (stored(tmp_path / d, "validation") for d in ("other", "data"))
    assert ours == theirs
    rows = {r["file_name"]: r for r in stored(tmp_path / "other", "train")}
    for row in stored(tmp_path / "data", "train"):
        assert rows[row["file_name"]] == row


def test_missing_archives_are_named(tmp_path):
    (tmp_path / "data/downloads/manual").mkdir(parents=True)
    (tmp_path / "data/downloads/manual/ILSVRC2012_img_train.tar").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        prepare("imagenet2012", data_dir=tmp_path / "data")
    for part in (
        "ILSVRC2012_img_val.tar is given to registered users only",
        "https://image-net.org/download-images",
        f"Not found either in {tmp_path / 'data/downloads/manual'}",
        "Place ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar into a directory DIR",
        f"kdjax prepare imagenet2012 --data_dir={tmp_path / 'data'} --archives=DIR",
    ):
        assert part in str(caught.value)


def cut(content, where=0.7):
    return content[: int(where * len(content))]


@pytest.mark.parametrize(
    "train, validation, message",
    [
        (train_pictures(FEW, each=3), VALIDATION, "train has 9 images .*expected 12"),
        (TRAIN, validation_pictures(6), "validation has 6 images .*expected 7"),
        ({"cats": {"a.JPEG": tiny(0)}}, VALIDATION, "holds cats.tar; expected one"),
        (TRAIN, {"val_1.JPEG": tiny(0)}, "holds val_1.JPEG; expected ILSVRC2012_val_"),
        (TRAIN, {"ILSVRC2012_val_00050001.JPEG": b""}, "_00000001.JPEG to 00050000"),
        (
            TRAIN | {FEW[2]: TRAIN[FEW[2]] | {"n02105855_3.JPEG": cut(tiny(2))}},
            VALIDATION,
            r"train, n02105855/n02105855_3.JPEG: .* cannot be read .*ImageNet is whole",
        ),
    ],
)
def test_wrong_archives(tmp_path, train, validation, message):
    with pytest.raises(DataError, match=message):
        prepare_tars(tmp_path, train, validation)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("where", [0.5, 0.99])
def test_archives_that_are_cut_short(tmp_path, where):
    write_archives(tmp_path / "tars", TRAIN, VALIDATION)
    path = tmp_path / "tars/ILSVRC2012_img_train.tar"
    end = path.read_bytes().rstrip(b"\0")
    path.write_bytes(cut(end, where))
    where = {"data_dir": tmp_path / "data", "archives": tmp_path / "tars"}
    with pytest.raises(DataError, match="ILSVRC2012_img_train|train has"):
        prepare("imagenet2012", **where)


def test_folders_of_other_classes_are_not_imagenet(tmp_path):
    write_folder(tmp_path / "in", {"train": {"cat": {"a.JPEG": tiny(0)}}})
    with pytest.raises(DataError, match="cat is none of ImageNet's synsets.*another"):
        prepare_folder(
            *("imagenet2012", tmp_path / "in"), data_dir=tmp_path, skip_at_most=0
        )


def test_members_lie_where_a_reader_of_tars_finds_them(tmp_path):
    write_archives(tmp_path / "tars", TRAIN, VALIDATION)
    path = tmp_path / "tars" / "ILSVRC2012_img_train.tar"
    content = path.read_bytes()
    actual = {
        (m.class_name, m.name): content[m.start : m.start + m.size]
        for m in imagenet.members(path, "train")
    }
    expected = {}
    with tarfile.open(path) as outer:
        for member in outer:
            inner = io.BytesIO(outer.extractfile(member).read())
            with tarfile.open(fileobj=inner) as tar:
                for file in tar:
                    key = (member.name.removesuffix(".tar"), file.name)
                    expected[key] = tar.extractfile(file).read()
    assert actual == expected and len(actual) == 12


def test_archives_of_somebody_else_have_directories_in_their_names(tmp_path):
    tars = {
        f"./{name}.tar": tar_of({f"./{file}": data for file, data in files.items()})
        for name, files in TRAIN.items()
    }
    path = tmp_path / "ILSVRC2012_img_train.tar"
    path.write_bytes(tar_of(tars))
    actual = [(m.class_name, m.name) for m in imagenet.members(path, "train")]
    assert actual == [(c, name) for c, files in TRAIN.items() for name in files]


def test_the_folder_builder_is_the_same_set():
    assert issubclass(Imagenet2012Folders, builder_class("imagenet2012"))
    assert Imagenet2012Folders.name == "imagenet2012"
    assert tar_of({})  # an empty archive is a file too
