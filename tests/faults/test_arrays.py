"""Arrays from elsewhere: files that say they hold more than they do, or objects."""

import io
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from kdjax.data import npz
from kdjax.data.npz import Arrays, load_npz
from kdjax.data.split import DataError
from kdjax.experiment.data import load_keep
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


@pytest.mark.parametrize(
    ("image", "message"),
    (
        (
            npy(IMAGE, shape=(1 << 40, 2, 2, 1)),
            "in 144 bytes; expected 4,398,046,511,232",
        ),
        (npy(IMAGE, shape=(2, 2, 2, 1)), "in 144 bytes; expected 136"),
        (npy(IMAGE, shape=(-4, 2, 2, 1)), "expected 112"),
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
