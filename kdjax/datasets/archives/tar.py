"""Reads chosen members of a gzipped tar in one pass, with nothing written to disk."""

import pathlib
import tarfile
import zlib
from collections.abc import Callable, Iterator

from kdjax.data.split import DataError


def members(
    path: pathlib.Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of the wanted regular files, in the archive's order.

    Reads to the end of the archive, so a truncated one is always noticed.
    """
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                if member.isfile() and wanted(member.name):
                    yield member.name, archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: not a complete .tar.gz ({error}); fetch it anew."
        ) from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error}). Look at its disk, or copy it anew."
        ) from error


def files(path: pathlib.Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Reads the files with these names (without their directory)."""
    content = {
        name.rsplit("/", 1)[-1]: file
        for name, file in members(path, lambda n: n.rsplit("/", 1)[-1] in names)
    }
    missing = [name for name in names if name not in content]
    if missing:
        raise DataError(
            f"{path}: lacks {', '.join(missing)}. Is it the file that its name says?"
        )
    return content
