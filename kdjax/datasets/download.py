"""Fetches official archives and checks their published sums; soon fails if offline."""

import hashlib
import http.client
import pathlib
import secrets
import urllib.request
from collections.abc import Callable, Iterator

from kdjax.data.split import DataError
from kdjax.paths.files import sync

_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 20
_ALGORITHMS = {32: "md5", 64: "sha256"}  # by the number of digits


def fetch(
    url: str, expected: str, directory: pathlib.Path, log: Callable[[str], None]
) -> pathlib.Path:
    """Downloads one archive to a .part file, which is renamed once its sum is right.

    Two may run at the same time. `expected` is the SHA-256 or MD5 of the content.
    Raises DataError if the server cannot be reached, stops midway or sends something
    else, OSError if the directory cannot be written.
    """
    file_name, algorithm = url.rsplit("/", 1)[1], _ALGORITHMS[len(expected)]
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f"{file_name}.{secrets.token_hex(8)}.part"
    log(f"downloading {url}")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with part.open("wb") as target:
            for chunk in _chunks(url):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != expected:
            raise DataError(
                f"{url}: what arrived has {algorithm} {digest.hexdigest()}; expected "
                f"{expected}. Try again, or fetch the file in another way."
            )
        sync(part)
        return part.replace(directory / file_name)
    finally:
        part.unlink(missing_ok=True)


def _chunks(url: str) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            while chunk := response.read(_CHUNK):
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url} cannot be fetched ({error})") from error
