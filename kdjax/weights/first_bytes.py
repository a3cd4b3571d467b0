"""Says what a file is that is called weights and is none, by its first bytes."""

import contextlib
import json
import pathlib
import zipfile

from kdjax.contracts import InputError

FEW = 512  # bytes that are looked at
LONGEST = 100_000_000  # bytes of a header of safetensors
ZIP = b"PK\x03\x04"
WHOLE = "Download it again, and compare its size with what is published"
BEGINNINGS = {
    b"version https://git-lfs": "a pointer of git-lfs, which only says where the "
    "weights are. Fetch them: git lfs pull, or the download link of the file itself",
    b"\x1f\x8b": "compressed by gzip. Unpack it first",
    b"BZh": "compressed by bzip2. Unpack it first",
    b"\xfd7zXZ": "compressed by xz. Unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd. Unpack it first",
    b"7z\xbc\xaf": "a 7z archive. Unpack it first",
    b"Rar!": "a rar archive. Unpack it first",
    b"\x89HDF": "an HDF5 file, as Keras writes. Expected weights of PyTorch",
    b"\x93NUMPY": "a single array of NumPy. Expected a network's arrays by name",
    b"{": "text, JSON. Is it the file that its link promises?",
}
PAGES = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<script", b"<!--")


def check_weights(file: pathlib.Path, is_safetensors: bool) -> None:
    """Raises InputError where a file cannot be what its name says, and says what it is.

    What it cannot tell from weights passes: the loaders look at all of it.
    """
    with file.open("rb") as opened:
        start = opened.read(FEW)
    if start[8:9] == b"{":  # after the length of the header: any eight bytes
        kind = _problem_of_safetensors(file, start, is_safetensors)
    elif start.startswith(ZIP):
        kind = _kind_of_zip(file, is_safetensors)
    else:
        kind = _kind(start) or is_safetensors * _kind_of_other(start)
    if kind:
        raise InputError(
            f"{file}: these are no weights: it is {kind}.".replace("?.", "?")
        )


def _kind(start: bytes) -> str:
    """What a file with such a beginning is, in words; "" where that does not say."""
    if not start:
        return f"empty. {WHOLE}"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return (
            "a web page: a link to the page that offers the weights, or its error. "
            "Download the file itself"
        )
    if start[257:262] == b"ustar":
        return "a tar archive. Unpack it first"
    return next((t for begin, t in BEGINNINGS.items() if start.startswith(begin)), "")


def _kind_of_zip(file: pathlib.Path, is_safetensors: bool) -> str:
    """PyTorch's files are zip archives with a pickle of the structure in them."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            sizes = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError):
        return f"cut short or damaged: a zip archive, as PyTorch's files are. {WHOLE}"
    if any(name.endswith("/constants.pkl") for name in names):
        return (
            "a program of TorchScript. Where it came from, save the weights alone: "
            "torch.save(module.state_dict(), FILE)"
        )
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy .npz. Expected weights of PyTorch, or safetensors"
    if not any(name.endswith("data.pkl") for name in names):
        return f"a zip archive without weights: it has {', '.join(names[:3])[:80]}"
    if is_safetensors:
        return "PyTorch's. Call it so: its name has to end in .pth"
    if sizes > 2 * file.stat().st_size:  # PyTorch stores, and compresses nothing
        return f"a zip archive that says it holds {sizes:,} bytes, compressed"
    return ""


def _kind_of_other(start: bytes) -> str:
    """What is called safetensors and does not begin as such files do."""
    if start[:1] == b"\x80":
        return "a pickle, as PyTorch wrote once. Call it so: it has to end in .pth"
    return "of another format: safetensors begin in another way"


def _problem_of_safetensors(
    file: pathlib.Path, start: bytes, is_safetensors: bool
) -> str:
    """Of the eight bytes that say how long the JSON after them is, and that JSON."""
    size, length = file.stat().st_size, int.from_bytes(start[:8], "little")
    if not is_safetensors:
        is_one = start[8:10] == b'{"' and 8 + length <= size
        name = "a safetensors file. Call it so: its name has to end in .safetensors"
        return name if is_one else ""
    if length > LONGEST:
        return ""
    with file.open("rb") as opened:
        opened.seek(8)
        header = opened.read(length)
    ends = [0]
    with contextlib.suppress(
        ValueError, TypeError, LookupError, AttributeError, RecursionError
    ):
        rows = json.loads(header).items()
        ends += [row["data_offsets"][1] for key, row in rows if key[:2] != "__"]
    if size < 8 + length + max(ends):
        return f"cut short: {size:,} bytes of {8 + length + max(ends):,}. {WHOLE}"
    return ""  # the package says what else is wrong
