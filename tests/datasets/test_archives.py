"""What the readers refuse. What they accept is in test_prepare.py, by way of TFDS."""

import gzip
import struct
import zipfile

import numpy as np
import pytest

from kdjax.data.split import DataError
from kdjax.datasets import encode
from kdjax.datasets.archives import cifar, cinic10, fashion_mnist, tiny_imagenet
from tests.datasets import miniatures


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("name", list(cifar.LAYOUTS))
def test_truncated_cifar(tmp_path, name):
    path = tmp_path / name
    miniatures.cifar(path, 100 if "100" in name else 10)
    cifar.read(path)
    cut(path)
    with pytest.raises(DataError, match=f"{name}: not a complete .tar.gz"):
        cifar.read(path)


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_truncated_cinic10(tmp_path, share):
    path = tmp_path / cinic10.FILE_NAME
    miniatures.cinic10(path)
    cut(path, share)
    with pytest.raises(DataError, match="not a complete .tar.gz"):
        list(cinic10.read_split(path, "train"))


def test_truncated_tiny_imagenet(tmp_path):
    path = tmp_path / tiny_imagenet.FILE_NAME
    miniatures.tiny_imagenet(path, lambda image: miniatures.png(image.squeeze()))
    cut(path)
    with pytest.raises(DataError, match="not a complete zip"):
        list(tiny_imagenet.read_split(path, "train"))


def test_truncated_idx(tmp_path):
    miniatures.fashion_mnist(tmp_path)
    cut(tmp_path / "train-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match="images-idx3-ubyte.gz: not a complete gzip"):
        fashion_mnist.read_split(tmp_path, "train")


def test_wrong_archive_under_the_name(tmp_path):
    path = tmp_path / "cifar-100-binary.tar.gz"
    miniatures.tar_gz(path, {"holiday/photo.jpg": b"x"})
    with pytest.raises(DataError, match="lacks coarse_label_names.txt, .*test.bin"):
        cifar.read(path)


def test_binary_records_that_do_not_add_up(tmp_path):
    path = tmp_path / "cifar-100-binary.tar.gz"
    names = {"coarse_label_names.txt": b"a", "fine_label_names.txt": b"a\nb"}
    bins = {"train.bin": b"\0" * 3074, "test.bin": b"\0" * 3073}
    miniatures.tar_gz(path, names | bins)
    with pytest.raises(DataError, match="test.bin holds 3073 bytes; .* 3074"):
        cifar.read(path)


def test_label_without_a_name(tmp_path):
    path = tmp_path / "cifar-100-binary.tar.gz"
    names = {"coarse_label_names.txt": b"a", "fine_label_names.txt": b"a\nb"}
    bins = {
        "train.bin": b"\0" * 3074 + b"\0\2" + b"\0" * 3072,
        "test.bin": b"\0" * 3074,
    }
    miniatures.tar_gz(path, names | bins)
    with pytest.raises(DataError, match=r"train label\[1\] is 2; expected 0 to 1"):
        cifar.read(path)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({b"data": [1]}, "data is no uint8 array"),
        ({b"data": np.zeros((10, 3072), np.float32)}, "data is no uint8 array"),
        ({b"fine_labels": [1.5] * 10}, "fine_labels is no list of whole numbers"),
        ({b"fine_labels": [1]}, "1 fine_labels for 10 images"),
    ],
)
def test_pickled_batches_of_another_form(tmp_path, changed, message):
    path = tmp_path / "cifar-100-python.tar.gz"
    labels = {b"fine_labels": [0] * 10, b"coarse_labels": [0] * 10}
    batch = {b"data": np.zeros((10, 3072), np.uint8)} | labels | changed
    meta = {b"fine_label_names": [b"a"], b"coarse_label_names": [b"b"]}
    files = {"train": batch, "test": batch, "meta": meta}
    files = {name: miniatures.python2_pickle(value) for name, value in files.items()}
    miniatures.tar_gz(path, files)
    with pytest.raises(DataError, match=message):
        cifar.read(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (struct.pack(">II", 0x801, 3) + b"\0\1", "holds 10 bytes; shape .3,. needs 11"),
        (struct.pack(">II", 0x803, 3), "expected 00000801"),
        (b"", "expected 00000801"),
    ],
)
def test_idx_of_another_form(tmp_path, content, message):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=message):
        fashion_mnist.read_idx(path, ranks=1)


def test_idx_label_out_of_range(tmp_path):
    miniatures.fashion_mnist(tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">II", 0x801, 4) + bytes([1, 2, 10, 0])))
    with pytest.raises(DataError, match=r"label\[2\] is 10; expected 0 to 9"):
        fashion_mnist.read_split(tmp_path, "test")


def test_validation_picture_without_annotation(tmp_path):
    path = tmp_path / tiny_imagenet.FILE_NAME
    miniatures.tiny_imagenet(path, lambda image: miniatures.png(image.squeeze()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tiny-imagenet-200/val/images/val_9.JPEG", b"x")
    with pytest.raises(DataError, match="nothing about val_9.JPEG"):
        list(tiny_imagenet.read_split(path, "validation"))


def test_pictures_of_another_size_or_none():
    small = miniatures.png(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="x: is 8 by 8 pixels; expected 32 by 32"):
        encode.as_colour(small, (32, 32), "x")
    for content in (b"", b"no picture"):
        with pytest.raises(DataError, match="x: not a readable image"):
            encode.as_colour(content, (32, 32), "x")
