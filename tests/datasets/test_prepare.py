"""Archives in the official layouts, through our builders, read back by TFDS itself."""

import functools

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from kdjax.data.load import load_split
from kdjax.data.split import DataError
from kdjax.datasets import write
from kdjax.datasets.archive_builder import builder_class
from kdjax.datasets.prepare import prepare
from tests.datasets import miniatures


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch, no_network):
    """No archive may be found by chance in the current directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def sized(monkeypatch):
    def resize(name, sizes):
        monkeypatch.setattr(builder_class(name), "SIZES", sizes)

    return resize


def read_back(name, split, data_dir):
    """As users of TFDS read: by name, with the official builder where there is one."""
    return list(tfds.data_source(name, split=split, data_dir=data_dir, download=False))


def test_fashion_mnist(tmp_path, sized):
    written = miniatures.fashion_mnist(tmp_path)
    sized("fashion_mnist", miniatures.SIZES)
    done = prepare("fashion_mnist", data_dir=tmp_path / "data", archives=tmp_path)
    assert done.splits == miniatures.SIZES and done.source == str(tmp_path)
    assert done.directory == tmp_path / "data" / "fashion_mnist" / "3.0.1"
    for split, (image, label) in written.items():
        rows = read_back("fashion_mnist", split, tmp_path / "data")
        assert set(rows[0]) == {"image", "label"}
        actual = {row["image"].tobytes(): int(row["label"]) for row in rows}
        pairs = zip(image, label, strict=True)
        assert actual == {pixels.tobytes(): int(number) for pixels, number in pairs}


@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("classes", [10, 100])
def test_cifar(tmp_path, sized, classes, kind):
    name = f"cifar{classes}"
    written = miniatures.cifar(tmp_path / f"cifar-{classes}-{kind}.tar.gz", classes)
    sized(name, miniatures.SIZES)
    done = prepare(name, data_dir=tmp_path / "data", archives=tmp_path)
    assert done.directory.name == "3.0.2"
    for split, (image, label, coarse) in written.items():
        rows = read_back(name, split, tmp_path / "data")
        assert len(rows) == len(image)
        for row in rows:
            number = int(row["id"].decode().removeprefix(f"{split}_"))
            np.testing.assert_array_equal(row["image"], image[number])
            assert row["label"] == label[number]
            if classes == 100:
                assert row["coarse_label"] == coarse[number]
            else:
                assert "coarse_label" not in row
    info = tfds.builder_from_directory(done.directory).info
    assert info.features["label"].names == [f"class {i}" for i in range(classes)]


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_same_features_and_version_as_the_official_builder(tmp_path, name):
    official = tfds.builder(name, data_dir=tmp_path)
    ours = builder_class(name)(data_dir=str(tmp_path))
    assert type(official) is not type(ours)
    assert ours.info.full_name == official.info.full_name
    assert (
        ours.info.features.get_tensor_info() == official.info.features.get_tensor_info()
    )
    assert {k: type(v) for k, v in ours.info.features.items()} == {
        k: type(v) for k, v in official.info.features.items()
    }


def test_cinic10(tmp_path, sized):
    written = miniatures.cinic10(tmp_path / "CINIC-10.tar.gz")
    sized("cinic10", {split: 4 for split in written})
    done = prepare("cinic10", data_dir=tmp_path / "data", archives=tmp_path)
    builder = tfds.builder_from_directory(done.directory)
    names = builder.info.features["label"].names
    assert names[0] == "airplane" and names[9] == "truck"
    for split, expected in written.items():
        rows = {r["id"].decode(): r for r in builder.as_data_source(split)}
        assert set(rows) == set(expected)
        for key, (image, name, source) in expected.items():
            np.testing.assert_array_equal(rows[key]["image"], image)
            assert names[rows[key]["label"]] == name
            assert ["cifar10", "imagenet"][rows[key]["source"]] == source


def jpeg(image):
    """OpenCV wants blue first; grey pictures become files of one channel."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    return cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes()


def test_tiny_imagenet(tmp_path, sized):
    written = miniatures.tiny_imagenet(tmp_path / "tiny-imagenet-200.zip", jpeg)
    sized("tiny_imagenet", {split: len(rows) for split, rows in written.items()})
    done = prepare("tiny_imagenet", data_dir=tmp_path / "data", archives=tmp_path)
    for split, expected in written.items():
        loaded = load_split("tiny_imagenet", split, data_dir=tmp_path / "data")
        assert loaded.image.shape == (len(expected), 64, 64, 3)
        assert list(loaded.class_names) == sorted(loaded.class_names)
        actual = {
            loaded.class_names[label]: image.mean((0, 1))
            for image, label in zip(loaded.image, loaded.label, strict=True)
        }
        assert set(actual) == {wnid for _, wnid in expected.values()}
        for colour, wnid in expected.values():
            np.testing.assert_allclose(actual[wnid], colour, atol=3)
    # Grey pictures are stored in colour, for readers that do not convert.
    decoder = {"image": tfds.decode.SkipDecoding()}
    builder = tfds.builder_from_directory(done.directory)
    (row,) = builder.as_data_source("validation", decoders=decoder)
    stored = cv2.imdecode(np.frombuffer(row["image"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert stored.shape == (64, 64, 3)


def test_second_time_says_so_and_reads_no_archive(tmp_path, sized):
    miniatures.fashion_mnist(tmp_path)
    sized("fashion_mnist", miniatures.SIZES)
    first = prepare("fashion_mnist", data_dir=tmp_path / "data", archives=tmp_path)
    second = prepare("fashion_mnist", data_dir=tmp_path / "data", archives="/nowhere")
    assert second == first._replace(source=None)


@pytest.mark.parametrize("place", ["data/downloads/manual", "here"])
def test_archives_are_found_in_the_usual_places(tmp_path, sized, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    miniatures.fashion_mnist(tmp_path / place)
    sized("fashion_mnist", miniatures.SIZES)
    done = prepare("fashion_mnist", data_dir=tmp_path / "data")
    assert done.source == str(tmp_path / place)


def test_another_count_is_refused_and_nothing_is_left(tmp_path):
    miniatures.fashion_mnist(tmp_path)
    with pytest.raises(DataError, match="train has 10 examples .* expected 60000"):
        prepare("fashion_mnist", data_dir=tmp_path / "data", archives=tmp_path)
    assert list((tmp_path / "data").iterdir()) == []


def test_malicious_archive_is_refused(tmp_path, sized):
    batch = b"\x80\x02cposix\nsystem\nU\x06exit 1\x85R."
    files = {name: batch for name in ("train", "test", "meta")}
    miniatures.tar_gz(tmp_path / "cifar-100-python.tar.gz", files)
    with pytest.raises(DataError, match="asks for posix.system"):
        prepare("cifar100", data_dir=tmp_path / "data", archives=tmp_path)


def test_whoever_comes_second_keeps_what_is_there(tmp_path, sized):
    miniatures.fashion_mnist(tmp_path)
    sized("fashion_mnist", miniatures.SIZES)
    make = functools.partial(builder_class("fashion_mnist"), archives=tmp_path)
    where = {"data_dir": tmp_path / "data", "source": "archives"}
    first = write.build("fashion_mnist", make, **where)
    stamp = (first.directory / "dataset_info.json").stat().st_mtime_ns
    second = write.build("fashion_mnist", make, **where)
    assert second == first
    assert (first.directory / "dataset_info.json").stat().st_mtime_ns == stamp
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["fashion_mnist"]


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, **_):
        raise RuntimeError("write() failed: No space left on device")

    builder = builder_class("fashion_mnist_subset")
    monkeypatch.setattr(builder, "download_and_prepare", full)
    with pytest.raises(OSError, match="cannot be written .*No space left"):
        prepare("fashion_mnist_subset", data_dir=tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_without_network_it_says_which_file_to_place_where(tmp_path, no_network):
    with pytest.raises(DataError) as caught:
        prepare("cifar100", data_dir=tmp_path / "data")
    message = str(caught.value)
    assert no_network
    for part in (
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz cannot be fetched",
        "cifar-100-binary.tar.gz or cifar-100-python.tar.gz",
        f"kdjax prepare cifar100 --data_dir={tmp_path / 'data'} --archives=DIR",
    ):
        assert part in message
    assert not list((tmp_path / "data").rglob("*.part"))


@pytest.mark.parametrize("archives", ["missing", None])
def test_wrong_requests(tmp_path, archives, no_network):
    if archives:
        with pytest.raises(DataError, match="missing is not a directory"):
            prepare("cifar10", data_dir=tmp_path, archives=tmp_path / archives)
    with pytest.raises(DataError, match="Did you mean cifar100"):
        prepare("cifr100", data_dir=tmp_path)
    with pytest.raises(DataError, match="version 9.9.9 is unknown; expected 3.0.2"):
        prepare("cifar100:9.9.9", data_dir=tmp_path)
    assert not no_network
