"""Files that are called weights and are none: one sentence says what they are."""

import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.weights import imported, torch_files

pytest.importorskip("safetensors")

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 46807446\n"
PAGE = b"\xef\xbb\xbf\n <!DOCTYPE html><html><body>403 Forbidden</body></html>"


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../weights.pth"))
    return content.getvalue()


def arrays() -> bytes:
    content = io.BytesIO()
    np.savez(content, weight=np.zeros(3))
    return content.getvalue()


def tensors(count: int = 4) -> bytes:
    header = b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    return struct.pack("<Q", len(header)) + header + bytes(4 * count)


PICKLE = b"\x80\x02}q\x00."
BOTH = {  # whatever it is called
    "pointer": (POINTER % (b"ab" * 32), "a pointer of git-lfs.* git lfs pull"),
    "page": (PAGE, "a web page: .*Download the file itself"),
    "empty": (b"", "it is empty. Download it again"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "compressed by gzip. Unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), "compressed by zstd"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive"),
    "tar": (tarred(), "a tar archive. Unpack it"),
    "json": (b'{ "error": "Not found" }', "text, JSON|text, J.*promises"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
    "array": (b"\x93NUMPY\x01\x00" + bytes(40), "a single array of NumPy"),
    "npz": (arrays(), "a NumPy .npz"),
    "cut zip": (zipped(archive__data_dot_pkl=bytes(99))[:-30], "cut short or damaged"),
    "no weights": (zipped(a=b"b", c=b"d"), "a zip archive without weights: it has a"),
    "script": (
        zipped(x__data_dot_pkl=b"", x__constants_dot_pkl=b""),
        r"a program of TorchScript.*state_dict",
    ),
}
TORCH = {
    "safetensors": (tensors(), r"a safetensors file.*end in .safetensors"),
    "bomb": (
        zipped(x__data_dot_pkl=PICKLE, x__data__0=bytes(10_000_000)),
        "says it holds 10,000,0.. bytes, compressed",
    ),
}
SAFETENSORS = {
    "torch": (zipped(x__data_dot_pkl=PICKLE), r"is PyTorch's. .* end in .pth"),
    "old torch": (PICKLE + bytes(40), r"a pickle.* end in .pth"),
    "cut": (tensors(3), "cut short: 75 bytes of 79"),
    "header cut": (tensors()[:30], "cut short: 30 bytes of"),
    "other": (b"hello world", "of another format"),
}
NAMED = {
    **{("x.pth", key): row for key, row in (BOTH | TORCH).items()},
    **{("x.safetensors", key): row for key, row in (BOTH | SAFETENSORS).items()},
    ("checkpoint-9.pth.tar", "page"): BOTH["page"],
}


@pytest.mark.parametrize("name", NAMED, ids="-".join)
def test_it_says_what_the_file_is(name, tmp_path):
    file, (content, message) = tmp_path / name[0], NAMED[name]
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        imported.read(file)
    text = str(error.value)
    assert text.startswith(f"{file}: these are no weights: it is ")
    assert text.endswith((".", "?")) and ".." not in text and "weights_only" not in text
    assert len(text.splitlines()) == 1


def test_the_command_ends_with_2(tmp_path, capsys, as_they_are):
    file = tmp_path / "pointer.pth"
    file.write_bytes(BOTH["pointer"][0])
    words = ["--model=resnet8", "--image_shape=8,8,3", "--mean=0,0,0", "--std=1,1,1"]
    assert main(["import", str(file), f"--workdir={tmp_path / 'w'}", *words]) == 2
    assert "a pointer of git-lfs" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
    assert main(["import", str(tmp_path), f"--workdir={tmp_path / 'w'}", *words]) == 2


def test_whole_files_pass(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(tensors())
    assert imported.read(tmp_path / "x.safetensors")["a"].shape == (4,)


@pytest.mark.parametrize("entry", (0, 1))
def test_a_damaged_end_of_a_zip_archive_is_damage(tmp_path, entry):
    """A flipped bit in the record before the last one: "of several disks"."""
    content = zipped(archive__data__0=b"\0" * 8)
    end = content.rindex(b"PK\x05\x06")
    numbers = (7, 0, 1) if entry == 0 else (0, 0, 9)
    record = struct.pack("<4sLQL", b"PK\x06\x07", *numbers)
    path = tmp_path / "w.pth"
    path.write_bytes(content[:end] + record + content[end:])
    with pytest.raises(InputError, match=f"{path}: it is damaged: .*several|multiple"):
        torch_files.check_sums(path)
