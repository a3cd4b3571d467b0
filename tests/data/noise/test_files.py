"""Labels that someone else drew: three formats, and what else a file may hold."""

import numpy as np
import pytest

from kdjax.data.noise import NOISES
from kdjax.data.split import DataError

LABELS = np.array([0, 1, 2, 3], np.int32)
NOISY = [3, 1, 0, 3]


def read(path):
    return NOISES["file"](LABELS, 4, path=path)


def write(path, values, dtype=np.int64):
    """In the format that the suffix names."""
    if path.suffix == ".npy":
        np.save(path, np.array(values, dtype))
    elif path.suffix == ".npz":
        np.savez(path, np.array(values, dtype))
    else:
        path.write_text("\n".join(map(str, values)) + "\n")
    return path


@pytest.mark.parametrize("name", ["n.npy", "n.npz", "n.txt", "n"])
def test_round_trip(tmp_path, name):
    actual = read(str(write(tmp_path / name, NOISY)))
    assert actual.dtype == np.int32 and actual.tolist() == NOISY


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, ">i4"])
def test_any_integers(tmp_path, dtype):
    assert read(write(tmp_path / "n.npy", NOISY, dtype)).tolist() == NOISY


@pytest.mark.errors
@pytest.mark.parametrize("name", ["n.npy", "n.npz", "n.txt"])
@pytest.mark.parametrize(
    "values, message",
    [
        ([1, 2, 3], r"int64 of shape \(3,\)"),
        ([], r"of shape \(0,\)"),
        ([0, 1, 4, 9], r"label 2 is 4; .* \(2 are out of range\)"),
        ([0, 1, 2, -1], "label 3 is -1"),
    ],
)
def test_wrong_labels(tmp_path, name, values, message):
    path = write(tmp_path / name, values)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "expected 4 integers from 0 to 3" in str(caught.value)


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, content, message",
    [
        ("n.npy", b"", "cannot be read"),
        ("n.npy", b"PK\x03\x04", "cannot be read"),
        ("n.npz", b"", "cannot be read"),
        ("n.npz", b"1 2 3 0", "cannot be read"),
        ("n.txt", b"1 2 three 0", "invalid literal.*'three'"),
        ("n.txt", b"1.0 2 3 0", "invalid literal.*'1.0'"),
        ("n.txt", b"\xff\xfe", "cannot be read"),
        ("n.txt", b"1 2 3 99999999999999999999", "cannot be read"),
    ],
)
def test_damaged(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


@pytest.mark.errors
@pytest.mark.parametrize("name", ["n.npy", "n.npz", "n.txt"])
def test_missing(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name} cannot be read .*No such file"):
        read(tmp_path / name)


@pytest.mark.errors
def test_not_integers(tmp_path):
    with pytest.raises(DataError, match="holds float64"):
        read(write(tmp_path / "n.npy", NOISY, np.float64))
    with pytest.raises(DataError, match="objects of Python, which are never read"):
        read(write(tmp_path / "n.npy", NOISY, object))
    np.savez(tmp_path / "two.npz", clean=LABELS, noisy=LABELS)
    with pytest.raises(DataError, match="it has 2 arrays: clean, noisy"):
        read(tmp_path / "two.npz")
