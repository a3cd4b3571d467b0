"""Arrays from elsewhere: files that say they hold more than they do, or objects."""

import functools
import hashlib
import io
import json
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import pytest

from kdjax.caching.layout import CHECKSUMS, Layout
from kdjax.caching.reader import Reader
from kdjax.checkpoints import StorageError
from kdjax.data import npz
from kdjax.data.noise import from_file
from kdjax.data.npz import Arrays, load_npz
from kdjax.data.split import DataError
from kdjax.data.tfds import labels
from kdjax.experiment.data import load_keep
from kdjax.methods import wkd_l
from kdjax.runner import sample_weights
from tests.faults.damage import npy

pytestmark = pytest.mark.errors
LABEL = np.arange(4, dtype=np.int64)
IMAGE = np.zeros((4, 2, 2, 1), np.uint8)


class Marker:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def write(path, method=zipfile.ZIP_DEFLATED, **parts):
    """A zip file of what `npy` gives, or of arrays as NumPy saves them."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, part in parts.items():
            part = npy(part) if isinstance(part, np.ndarray) else part
            file.writestr(f"{name}.npy", part)
    return path


def header(text):
    """A .npy file with that in the place of its header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(32)


@pytest.mark.parametrize(
    ("image", "message"),
    (
        (
            npy(IMAGE, shape=(1 << 40, 2, 2, 1)),
            "in 144 bytes; expected 4,398,046,511,232",
        ),
        (npy(IMAGE, shape=(2, 2, 2, 1)), "in 144 bytes; expected 136"),
        (npy(IMAGE, shape=(-4, 2, 2, 1)), "no length below 0"),
        (npy(IMAGE, descr="|O"), "objects of Python"),
        (npy(IMAGE, descr="<U100000000"), "expected 6,400,000,128"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x03\x00" + bytes(9), "cannot be read"),
    ),
)
def test_an_array_is_as_large_as_its_part(tmp_path, image, message):
    path = write(tmp_path / "a.npz", train_image=image, train_label=LABEL)
    with pytest.raises(DataError, match=message) as raised:
        load_npz(path, "train")
    assert str(path) in str(raised.value) and len(str(raised.value)) < 600


def test_a_part_is_as_large_as_its_bytes_allow(tmp_path):
    """The list of parts says it, and the array too: a terabyte of forty bytes."""
    path = write(tmp_path / "a.npz", train_image=npy(IMAGE), train_label=LABEL)
    with zipfile.ZipFile(path) as file:
        sizes = [part.file_size for part in file.infolist()]
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # of the first part, in the list
    content[at : at + 4] = (0x70000000).to_bytes(4, "little")
    path.write_bytes(content)
    assert sizes[0] == 144
    with pytest.raises(DataError, match="cannot be read"):
        load_npz(path, "train")


def test_what_is_larger_than_memory_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.npz", train_image=npy(IMAGE), train_label=LABEL)
    monkeypatch.setattr(npz, "_memory", lambda: 100)
    with pytest.raises(DataError, match="160 bytes; memory here is 100"):
        load_npz(path, "train")


@pytest.mark.parametrize("error", (None, ValueError, OSError))
def test_a_system_that_does_not_say_its_memory_sets_no_limit(
    tmp_path, monkeypatch, error
):
    def sysconf(name):
        raise error(name)

    if error is None:  # as on Windows
        monkeypatch.delattr(npz.os, "sysconf")
    else:
        monkeypatch.setattr(npz.os, "sysconf", sysconf)
    path = write(tmp_path / "a.npz", train_image=npy(IMAGE), train_label=LABEL)
    assert len(load_npz(path, "train").label) == 4


@pytest.mark.parametrize("label", (1 << 62, -1, 2_000_000))
def test_a_label_is_looked_at_before_classes_are_counted(tmp_path, label):
    """Without names the classes are 0 to the largest label: 2**62 are no memory's."""
    labels = np.array([0, 1, label, 1])
    path = write(tmp_path / "a.npz", train_image=IMAGE, train_label=labels)
    with pytest.raises(DataError, match=rf"train_label\[2\] is {label}; expected 0 to"):
        load_npz(path, "train")


@pytest.mark.parametrize("name", ("train_image", "class_names", "other"))
def test_nothing_is_unpickled(tmp_path, name):
    marker = tmp_path / "ran"
    objects = np.array([Marker(marker)], object)
    content = io.BytesIO()
    np.save(content, objects, allow_pickle=True)
    assert pickle.dumps(Marker(marker))
    parts = {"train_image": IMAGE, "train_label": LABEL, name: content.getvalue()}
    path = write(tmp_path / "a.npz", **parts)
    if name == "other":
        assert len(load_npz(path, "train").label) == 4
    else:
        with pytest.raises(DataError, match="objects of Python"):
            load_npz(path, "train")
    assert not marker.exists()


def test_the_name_in_the_list_is_the_one_at_the_content(tmp_path):
    """Else class names whose entry is damaged are numbers, without a word."""
    parts = {"class_names": np.array(list("abcd")), "train_image": IMAGE}
    path = write(tmp_path / "a.npz", **parts, train_label=LABEL)
    content = path.read_bytes()
    at = content.rindex(b"class_names")
    path.write_bytes(content[:at] + b"closs_names" + content[at + 11 :])
    with pytest.raises(DataError, match="closs_names"):
        load_npz(path, "train")


LARGE = npy(LABEL, shape=(1 << 62,))
HEADERS = {
    "large": (LARGE, "expected 36,893,488,147,419,103,360"),
    "memory": (npy(LABEL, shape=(1 << 40,)), "expected 8,796,093,022,336"),
    "negative": (npy(LABEL, shape=(-4,)), "no length below 0"),
    "objects": (npy(LABEL, descr="|O"), "objects of Python"),
    "deep": (header(b"-" * 9000 + b"1"), "has no header of the format"),
    "open": (header(b"{'descr': ("), "has no header of the format"),
    "zip": (b"PK\x03\x04" + bytes(60), "magic string"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_single_array_is_as_large_as_its_file(tmp_path, kind):
    """As label noise, as similarities and as rows of a cache, whose sums do fit."""
    content, message = HEADERS[kind]
    build = functools.partial(wkd_l.build, steps_per_epoch=1, total_steps=1)
    path = tmp_path / "n.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"n.npy cannot be read \(.*({message})"):
        from_file(LABEL, 4, path=path)
    with pytest.raises(ValueError, match="similarity is .*n.npy'; expected 'classif"):
        build(similarity=str(path))
    archive = write(tmp_path / "n.npz", noisy=content)
    with pytest.raises(DataError, match="n.npz cannot be read"):
        from_file(LABEL, 4, path=archive)
    epoch = tmp_path / "00000"
    epoch.mkdir()
    (epoch / "logits.npy").write_bytes(content)
    sums = {"logits.npy": hashlib.sha256(content).hexdigest()}
    (epoch / CHECKSUMS).write_text(json.dumps(sums))
    layout = Layout(
        examples=4, classes=6, members=0, dtype="float16", top_k=0, features={}
    )
    cache = Reader(tmp_path, layout.as_json() | {"epochs": 1, "format": 1})
    with pytest.raises(StorageError, match="00000 cannot be used"):
        cache.check(0)


def test_stored_labels_of_another_form_are_counted_again(tmp_path):
    for content, _ in HEADERS.values():
        (tmp_path / "n.npy").write_bytes(content)
        assert labels._load(tmp_path / "n.npy", 4) is None
    (tmp_path / "n.npy").write_bytes(npy(LABEL.astype(np.int32)))
    np.testing.assert_array_equal(labels._load(tmp_path / "n.npy", 4), LABEL)


def test_selections_are_read_the_same_way(tmp_path):
    path = write(tmp_path / "selection.npz", keep=npy(LABEL > 1, shape=(1 << 40,)))
    with pytest.raises(ValueError, match="selection.npz is not what .* expected 1,099"):
        load_keep(str(path), "--keep")
    with pytest.raises(ValueError, match="selection.npz is damaged"):
        sample_weights._read(path)


def test_what_numpy_writes_is_read(tmp_path):
    arrays = {
        "a": IMAGE,
        "b": np.array(["x", "yy"]),
        "c": np.zeros((0, 3)),
        "d": LABEL[1],
    }
    arrays["e"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        with (tmp_path / "a.npz").open("rb") as file, Arrays(file) as saved:
            assert saved.keys() == arrays.keys()
            for name, array in arrays.items():
                np.testing.assert_array_equal(saved[name], array)
                assert saved[name].dtype == np.asarray(array).dtype
