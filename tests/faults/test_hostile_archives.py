"""Archives that a stranger sends lead nowhere else, and unpack to no more than ours."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest

from kdjax.data.split import DataError
from kdjax.datasets.archives import cifar, fashion_mnist, reading, tiny_imagenet
from tests.datasets import miniatures


def hostile(path):
    """Adds to an archive what would leave its directory, were it unpacked."""
    with tarfile.open(path) as archive:
        members = [(m, archive.extractfile(m)) for m in archive if m.isfile()]
        members = [(m, file.read()) for m, file in members]
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../escaped", "/tmp/kdjax-escaped", "a/../../escaped"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
        for number, kind in enumerate(kinds):
            member = tarfile.TarInfo(f"x/{number}/data_batch_1.bin")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))


def test_an_archive_leads_nowhere_else(tmp_path):
    path = tmp_path / "a" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    miniatures.cifar(path, 10)
    expected = cifar.read(path)
    hostile(path)
    actual = cifar.read(path)
    np.testing.assert_array_equal(actual.image["train"], expected.image["train"])
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", path.name]


def test_what_a_few_bytes_unpack_to_is_bounded(tmp_path, monkeypatch):
    many, most = bytes(1 << 22), 1 << 20
    monkeypatch.setattr(cifar, "MOST", most)
    monkeypatch.setattr(fashion_mnist, "MOST", most)
    monkeypatch.setattr(tiny_imagenet, "MOST", most)
    path = tmp_path / "cifar-10-binary.tar.gz"
    for name in ("data_batch_1.bin", "other"):
        miniatures.tar_gz(path, {name: many})
        with pytest.raises(DataError, match="unpacks to more than 1,048,576 bytes"):
            cifar.read(path)
    miniatures.fashion_mnist(tmp_path)
    idx = tmp_path / "train-images-idx3-ubyte.gz"
    idx.write_bytes(gzip.compress(many))
    with pytest.raises(DataError, match="unpacks to more than"):
        fashion_mnist.read_split(tmp_path, "train")
    path = tmp_path / tiny_imagenet.FILE_NAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", many)
    with pytest.raises(DataError, match="wnids.txt unpacks to 4,194,304 bytes"):
        tiny_imagenet.class_names(path)


def test_a_file_without_bytes_has_no_size(tmp_path):
    """A sparse member of 8 GB that takes a header."""
    header = bytearray(tarfile.TarInfo("data_batch_1.bin").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[483:495] = b"%011o\0" % (8 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "x.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(bytes(header) + bytes(1024))
    assert not list(reading.tar_members(path, lambda _: True, 1 << 20))
