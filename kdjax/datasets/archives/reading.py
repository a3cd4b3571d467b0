"""Reads archives with nothing written to disk; what is damaged becomes a DataError."""

import contextlib
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
    path: pathlib.Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of regular files of a .tar.gz, in the archive's order.

    Reads to the end of the archive, so a truncated one is always noticed.
    """
    with (
        reading(path, ".tar.gz", tarfile.TarError),
        tarfile.open(path, "r|gz") as archive,
    ):
        for member in archive:
            if member.isfile() and wanted(member.name):
                yield member.name, archive.extractfile(member).read()


def tar_files(path: pathlib.Path, names: set[str]) -> dict[str, bytes]:
    """Reads the files with these names, without their directory, of a .tar.gz."""
    content = {
        name.rsplit("/", 1)[-1]: file
        for name, file in tar_members(path, lambda n: n.rsplit("/", 1)[-1] in names)
    }
    if missing := sorted(names - content.keys()):
        files = ", ".join(missing)
        raise DataError(f"{path}: lacks {files}. Is it the file that its name says?")
    return content
