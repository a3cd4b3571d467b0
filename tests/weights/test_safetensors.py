"""Files of arrays, made and read by hand: eight bytes of length, JSON, then data."""

import json
import struct
import sys

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.paths import files
from kdjax.runner.export import export
from kdjax.weights import imported, safetensors

pytest.importorskip("safetensors")

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3) / 7


def by_hand(**arrays):
    header, data = {}, b""
    for name, (kind, array) in arrays.items():
        begin, data = len(data), data + array.tobytes()
        shape = list(array.shape)
        offsets = [begin, len(data)]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_what_was_made_by_hand_is_read(tmp_path):
    file = tmp_path / "made.safetensors"
    half = np.array([1.5, -2.0], np.float16)
    file.write_bytes(by_hand(a=("F32", ARRAY), b=("F16", half)))
    actual = imported.read(file)
    assert actual.keys() == {"a", "b"}
    np.testing.assert_array_equal(actual["a"], ARRAY)
    np.testing.assert_array_equal(actual["b"], half)
    assert actual["b"].dtype == np.float16


def test_what_is_written_can_be_read_by_hand(tmp_path):
    file = tmp_path / "written.safetensors"
    safetensors.write(file, {"a": ARRAY.T, "b": ARRAY[0]}, {"format": "pt"})
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header["__metadata__"]
    assert metadata.pop("format") == "pt" and set(metadata) <= {"kdjax_checksum"}
    for name, array in (("a", ARRAY.T), ("b", ARRAY[0])):
        row = header[name]
        assert row["dtype"] == "F32" and row["shape"] == list(array.shape)
        # Rows first, though the array in memory was a transposed one.
        actual = np.frombuffer(data[slice(*row["data_offsets"])], np.float32)
        np.testing.assert_array_equal(actual.reshape(array.shape), array)


def test_others_may_read_it_as_any_file(tmp_path):
    (tmp_path / "any").touch()
    with files.written(tmp_path / "a.safetensors") as part:
        safetensors.write(part, {"a": ARRAY}, {})
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    "content",
    (
        b"",
        b"no such file at all",
        by_hand(a=("F32", ARRAY))[:-4],
        struct.pack("<Q", 2**40) + b"{}",
        *(by_hand(a=(kind, np.zeros(6, np.uint8))) for kind in ("F8_E4M3", "F8_E5M2")),
    ),
)
def test_a_damaged_file_is_told(tmp_path, content):
    file = tmp_path / "damaged.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match="damaged.safetensors: not a safetensors file"):
        safetensors.read(file)


def test_what_is_said_of_a_file_must_be_json(tmp_path):
    file = tmp_path / "x.safetensors"
    for text in ("{", "[1]"):
        safetensors.write(file, {"a": ARRAY}, {"kdjax": text})
        with pytest.raises(InputError, match="its metadata kdjax is"):
            imported.origin(file)
    safetensors.write(file, {"a": ARRAY}, {"format": "pt"})
    assert imported.origin(file) == {}


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(
        InputError, match="need the package safetensors: pip install safe"
    ):
        safetensors.read(tmp_path / "x.safetensors")
    # Before `export` has a file to write, whose name says nothing to anyone.
    flags = {"output": tmp_path / "y.safetensors", "format": "safetensors"}
    with pytest.raises(InputError, match="^--format=safetensors: safetensors files"):
        export(tmp_path, **flags)
    assert not list(tmp_path.iterdir())


def test_files_are_known_by_their_suffix(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        imported.read(tmp_path / "none.safetensors")
    file = tmp_path / "weights.h5"
    file.write_bytes(b"x")
    with pytest.raises(InputError, match=r"ends in '\.h5'; expected one of \.safet"):
        imported.read(file)
