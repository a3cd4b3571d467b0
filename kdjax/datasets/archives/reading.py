"""Reads archives with nothing written to disk; what is damaged becomes a DataError.

So names with "..", absolute ones, links and devices in them lead nowhere. What a few
bytes unpack to is bounded: memory is not for the sender of a file to use up.
"""

import contextlib
import gzip
import pathlib
import tarfile
import zlib
from collections.abc import Callable, Iterator

from kdjax.data.split import DataError


@contextlib.contextmanager
def reading(where: pathlib.Path | str, kind: str, *errors: type[Exception]):
    """Turns `errors`, and those of a damaged file or disk, into a DataError."""
    try:
        yield
    except (*errors, EOFError, zlib.error) as error:
        came = f"not a complete {kind} ({error})"
        raise DataError(f"{where}: {came}; fetch it anew.") from error
    except OSError as error:
        raise DataError(
            f"{where}: cannot be read ({error}). Look at its disk, or copy it anew."
        ) from error


def tar_members(
    path: pathlib.Path, wanted: Callable[[str], bool], most: int
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of regular files of a .tar.gz, in the archive's order.

    Reads to the end of the archive, so a truncated one is always noticed. It unpacks to
    `most` bytes at most.
    """
    errors = tarfile.TarError, gzip.BadGzipFile
    with reading(path, ".tar.gz", *errors), gzip.open(path) as unpacked:
        bounded = Bounded(path, unpacked, most)
        archive = tarfile.open(fileobj=bounded, mode="r|")
        for member in archive:
            # A sparse file may have any size without the bytes of it.
            if member.isreg() and not member.issparse() and wanted(member.name):
                yield member.name, archive.extractfile(member).read()
        while bounded.read(1 << 20):  # to its checksum
            pass


class Bounded:
    """A file of which at most so many bytes are read."""

    def __init__(self, where: pathlib.Path, file, most: int):
        self._where, self._file, self._most, self._left = where, file, most, most

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(min(size, self._left + 1) if size >= 0 else size)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(
                f"{self._where}: unpacks to more than {self._most:,} bytes; expected "
                "the official archive, which has fewer. Fetch it anew."
            )
        return content


def tar_files(path: pathlib.Path, names: set[str], most: int) -> dict[str, bytes]:
    """Reads the files with these names, without their directory, of a .tar.gz."""
    members = tar_members(path, lambda name: name.rsplit("/", 1)[-1] in names, most)
    content = {name.rsplit("/", 1)[-1]: file for name, file in members}
    if missing := sorted(names - content.keys()):
        files = ", ".join(missing)
        raise DataError(f"{path}: lacks {files}. Is it the file that its name says?")
    return content
