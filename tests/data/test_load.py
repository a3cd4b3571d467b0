import io
import json
import os
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kdjax.data.load import load_split
from kdjax.data.split import DataError
from kdjax.data.tfds import find, names, records
from tests.datasets import miniatures

pytestmark = pytest.mark.usefixtures("no_network")


class MySet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set that kdjax knows nothing about, with more features than it needs."""

    VERSION = tfds.core.Version("2.1.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name, version="2.1.0") for name in ("a", "b")
    ]
    shape = (None, None, 3)
    rows = ()

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=self.shape),
            "label": tfds.features.ClassLabel(names=["x", "y", "z"]),
            "extra": tfds.features.Sequence({"word": tfds.features.Text()}),
        }
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for key, (image, label) in enumerate(self.rows):
            extra = [{"word": "w"}] * key
            picture = io.BytesIO(miniatures.png(image))
            yield key, {"image": picture, "label": label, "extra": extra}


def prepare_my_set(data_dir, rows, config="a"):
    MySet.rows = rows
    builder = MySet(data_dir=data_dir, file_format="array_record", config=config)
    skip = tfds.download.ComputeStatsMode.SKIP
    plain = tfds.download.DownloadConfig(try_download_gcs=False, compute_stats=skip)
    builder.download_and_prepare(download_config=plain)
    return builder


def rows_of(count, shape=(6, 7, 3)):
    image = miniatures.images(0, count, shape)
    return [(image[i], i % 3) for i in range(count)]


def test_any_set_with_image_and_label(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_CHUNK", 7)  # so that chunks have a border
    rows = rows_of(30)
    builder = prepare_my_set(tmp_path, rows)
    split = load_split("my_set/a", "train", data_dir=str(tmp_path))
    assert split.image.shape == (30, 6, 7, 3) and split.image.dtype == np.uint8
    assert split.label.dtype == np.int32 and split.class_names == ("x", "y", "z")
    # The order is that of TFDS; reading one by one gives the same.
    for i, example in enumerate(builder.as_data_source("train")):
        np.testing.assert_array_equal(split.image[i], example["image"])
        assert split.label[i] == example["label"]
    actual = {image.tobytes() for image in split.image}
    assert actual == {image.tobytes() for image, _ in rows}
    assert split.identity | {"sha256": ""} == {
        "name": "my_set/a",
        "version": "2.1.0",
        "split": "train",
        "num_examples": 30,
        "sha256": "",
    }


def test_slices_are_parts_of_the_whole(embedded_dir):
    def load(split):
        return load_split("fashion_mnist_subset", split, data_dir=embedded_dir)

    whole, first, rest = load("train"), load("train[:2500]"), load("train[25%:]")
    np.testing.assert_array_equal(whole.image[:2500], first.image)
    np.testing.assert_array_equal(whole.label[2500:], rest.label)
    assert first.identity["num_examples"] == 2500


def test_identity_follows_the_content(tmp_path):
    rows = rows_of(5)
    sums = set()
    for number in range(4):
        changed = [(image.copy(), label) for image, label in rows]
        if number == 1:
            changed[2][0][3, 3, 1] ^= 1
        if number == 2:
            changed[2] = (changed[2][0], 0)
        prepare_my_set(tmp_path / str(number), changed)
        split = load_split("my_set/a", "train", data_dir=tmp_path / str(number))
        sums.add(split.identity["sha256"])
    assert len(sums) == 3  # numbers 0 and 3 are the same set


def test_unprepared_set_fails_at_once_and_offline(tmp_path, no_network):
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        load_split("cifar100", "train", data_dir=tmp_path)
    assert time.monotonic() - start < 2
    assert no_network == []
    assert f"looked for {tmp_path / 'cifar100'}" in str(caught.value)
    command = f"python -m kdjax prepare cifar100 --data_dir={tmp_path}"
    assert command in str(caught.value)


@pytest.mark.parametrize(
    "name, message",
    [
        ("cifr100", "Did you mean cifar100"),
        ("my_set", "written as array_record, with features image and label"),
        ("../secret", "is not the name of a data set"),
        ("cifar100:latest", "is not the name of a data set"),
    ],
)
def test_names_that_lead_nowhere(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        load_split(name, "train", data_dir=tmp_path)


def test_config_must_be_named(tmp_path):
    for config in "ab":
        prepare_my_set(tmp_path, rows_of(2), config)
    with pytest.raises(DataError, match="several configs; .* my_set/a .*a, b"):
        load_split("my_set", "train", data_dir=tmp_path)


def test_newest_version_unless_named(tmp_path):
    for version in ("1.9.0", "1.10.0", "1.10.0.incomplete"):
        (tmp_path / "s" / version).mkdir(parents=True)
        (tmp_path / "s" / version / "dataset_info.json").write_text("{}")
    (tmp_path / "s" / "2.0.0").mkdir()  # nothing in it
    assert find.find("s", tmp_path).name == "1.10.0"
    assert find.find("s:1.9.0", tmp_path).name == "1.9.0"
    assert find.find("s:2.0.0", tmp_path) is None


@pytest.mark.parametrize("split", ["validation", "train[3", "train[40:50]"])
def test_splits_that_are_not_there(tmp_path, split):
    prepare_my_set(tmp_path, rows_of(4))
    with pytest.raises(
        DataError, match=r"my_set/a/2.1.0: split '.*' (cannot|is empty)"
    ):
        load_split("my_set/a", split, data_dir=tmp_path)


def test_images_of_several_sizes(tmp_path):
    prepare_my_set(tmp_path, rows_of(4) + rows_of(1, (9, 7, 3)))
    with pytest.raises(DataError, match=r"image \d is uint8 of shape .* as the first"):
        load_split("my_set/a", "train", data_dir=tmp_path)


def test_label_that_says_unknown(tmp_path):
    rows = rows_of(4)
    rows[2] = (rows[2][0], -1)
    builder = prepare_my_set(tmp_path, rows)
    labels = [example["label"] for example in builder.as_data_source("train")]
    where = labels.index(-1)
    with pytest.raises(DataError, match=rf"label\[{where}\] is -1; expected 0 to 2"):
        load_split("my_set/a", "train", data_dir=tmp_path)


def test_damaged_records(tmp_path):
    builder = prepare_my_set(tmp_path, rows_of(20, (32, 32, 3)))
    (file,) = builder.data_path.glob("*array_record*")
    content = bytearray(file.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(
        len(content) // 2 - len(content) // 3
    )
    file.write_bytes(content)
    with pytest.raises(DataError, match="prepare the set anew|cannot be opened"):
        load_split("my_set/a", "train", data_dir=tmp_path)


def rewrite(builder, file, change):
    path = builder.data_path / file
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def test_tfrecord_is_told_from_array_record(tmp_path):
    builder = prepare_my_set(tmp_path, rows_of(3))
    for file in list(builder.data_path.glob("*array_record*")):
        file.rename(file.with_name(file.name.replace("array_record", "tfrecord")))
    rewrite(
        builder, "dataset_info.json", lambda info: info.update(fileFormat="tfrecord")
    )
    with pytest.raises(
        DataError, match="stored as tfrecord; .*prepare NAME --tfrecord="
    ):
        load_split("my_set/a", "train", data_dir=tmp_path)


def test_unreadable_description(tmp_path):
    builder = prepare_my_set(tmp_path, rows_of(3))
    (builder.data_path / "dataset_info.json").write_text('{"name": ')
    with pytest.raises(DataError, match="description of the set cannot be read"):
        load_split("my_set/a", "train", data_dir=tmp_path)


@pytest.mark.parametrize("missing", ["image", "label"])
def test_sets_without_image_or_label(tmp_path, missing):
    builder = prepare_my_set(tmp_path, rows_of(3))

    def drop(features):
        del features["featuresDict"]["features"][missing]

    rewrite(builder, "features.json", drop)
    with pytest.raises(DataError, match=f"feature {missing} is None; expected a tfds"):
        load_split("my_set/a", "train", data_dir=tmp_path)


def test_images_of_16_bits(tmp_path):
    builder = prepare_my_set(tmp_path, rows_of(3))

    def deepen(features):
        features["featuresDict"]["features"]["image"]["image"]["dtype"] = "uint16"

    rewrite(builder, "features.json", deepen)
    with pytest.raises(DataError, match="feature image is .*expected .* uint8"):
        load_split("my_set/a", "train", data_dir=tmp_path)


def test_the_embedded_set_needs_no_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    blocked = tmp_path / "a file"
    blocked.write_text("")
    for where in ({}, {"data_dir": blocked}):
        assert len(load_split("fashion_mnist_subset", "test", **where).label) == 2000
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.parametrize("split", ["train", "test[:250]", "train[90%:]", "train+test"])
def test_the_embedded_set_is_what_tfds_would_read(embedded_dir, split):
    own = load_split("fashion_mnist_subset", split)
    prepared = records.load_records("fashion_mnist_subset", split, embedded_dir)
    assert own.identity == prepared.identity
    np.testing.assert_array_equal(own.image, prepared.image)
    np.testing.assert_array_equal(own.label, prepared.label)
    assert own.image.dtype == np.uint8 and own.label.dtype == np.int32


@pytest.mark.parametrize("split", ["validation", "train[3", "train[:0]"])
def test_splits_that_the_embedded_set_has_not(split):
    with pytest.raises(DataError, match=r"fashion_mnist_subset: split .* (cann|is em)"):
        load_split("fashion_mnist_subset", split)


def test_embedded_set_in_another_version(tmp_path):
    with pytest.raises(DataError, match=":9.0.0 is unknown; expected"):
        load_split("fashion_mnist_subset:9.0.0", "train", data_dir=tmp_path)


def test_default_directory(monkeypatch, tmp_path, embedded_dir):
    monkeypatch.setenv("TFDS_DATA_DIR", str(embedded_dir))
    assert names.default_data_dir() == embedded_dir
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names.default_data_dir() == tmp_path / "tensorflow_datasets"


@pytest.mark.skipif(
    "KDJAX_TEST_CIFAR100" not in os.environ,
    reason="KDJAX_TEST_CIFAR100 names no data_dir that holds the real CIFAR-100",
)
def test_real_cifar100():
    data_dir = os.environ["KDJAX_TEST_CIFAR100"]
    for name, count in (("train", 500), ("test", 100)):
        split = load_split("cifar100", name, data_dir=data_dir)
        assert split.image.shape == (100 * count, 32, 32, 3)
        assert np.bincount(split.label).tolist() == [count] * 100
        assert split.class_names[:2] == ("apple", "aquarium_fish")
        if name == "train":
            scaled = split.image.reshape(-1, 3) / np.float32(255)
            mean, std = scaled.mean(0, np.float64), scaled.std(0, np.float64)
            np.testing.assert_allclose(mean, (0.5071, 0.4865, 0.4409), atol=6e-5)
            np.testing.assert_allclose(std, (0.2673, 0.2564, 0.2762), atol=6e-5)
