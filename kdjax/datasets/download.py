"""Fetches official archives and checks their published sums; soon fails if offline."""

import hashlib
import http.client
import pathlib
import secrets
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

from kdjax.data.errors import DataError

_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 20


class Remote(NamedTuple):
    """Where a file is published, and its sum."""

    url: str
    algorithm: str
    digest: str


_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_TORONTO = "https://www.cs.toronto.edu/~kriz"
REMOTES = {
    "train-images-idx3-ubyte.gz": Remote(
        f"{_FASHION}/train-images-idx3-ubyte.gz",
        "sha256",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    "train-labels-idx1-ubyte.gz": Remote(
        f"{_FASHION}/train-labels-idx1-ubyte.gz",
        "sha256",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    "t10k-images-idx3-ubyte.gz": Remote(
        f"{_FASHION}/t10k-images-idx3-ubyte.gz",
        "sha256",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    "t10k-labels-idx1-ubyte.gz": Remote(
        f"{_FASHION}/t10k-labels-idx1-ubyte.gz",
        "sha256",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    "cifar-10-binary.tar.gz": Remote(
        f"{_TORONTO}/cifar-10-binary.tar.gz",
        "sha256",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    "cifar-100-binary.tar.gz": Remote(
        f"{_TORONTO}/cifar-100-binary.tar.gz",
        "sha256",
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
    "CINIC-10.tar.gz": Remote(
        "https://datashare.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",
        "md5",
        "6ee4d0c996905fe93221de577967a372",
    ),
    "tiny-imagenet-200.zip": Remote(
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "md5",
        "90528d7ca1a48142e341f4ef8d21d0de",
    ),
}


def fetch(
    file_name: str,
    directory: pathlib.Path,
    say: Callable[[str], None],
    *,
    remote: Remote | None = None,
) -> pathlib.Path:
    """Downloads one archive to a .part file, which is renamed once its sum is right.

    Each download has a file of its own: two may go on at the same time.

    Raises:
      DataError: the server cannot be reached, stops midway, or sends something else;
        or the file has no open address.
      OSError: the directory cannot be written.
    """
    remote = remote or REMOTES.get(file_name)
    if remote is None:
        raise DataError(
            f"{file_name} is given to registered users only, at "
            "https://image-net.org/download-images"
        )
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f"{file_name}.{secrets.token_hex(8)}.part"
    say(f"downloading {remote.url}")
    try:
        digest = _copy(remote, part)
        if digest != remote.digest:
            raise DataError(
                f"{remote.url}: what arrived has {remote.algorithm} {digest}; expected "
                f"{remote.digest}. Try again, or fetch the file in another way."
            )
        return part.replace(directory / file_name)
    finally:
        part.unlink(missing_ok=True)


def _copy(remote: Remote, part: pathlib.Path) -> str:
    digest = hashlib.new(remote.algorithm, usedforsecurity=False)
    with part.open("wb") as target:
        try:
            with urllib.request.urlopen(remote.url, timeout=_TIMEOUT) as answer:
                while chunk := answer.read(_CHUNK):
                    digest.update(chunk)
                    _write(target, chunk)
        except _DiskError as error:
            raise error.cause from None
        except (OSError, http.client.HTTPException) as error:
            raise DataError(f"{remote.url} cannot be fetched ({error})") from error
    return digest.hexdigest()


class _DiskError(Exception):
    """Tells a full disk from a broken connection: both are OSError to Python."""

    def __init__(self, cause: OSError):
        super().__init__(str(cause))
        self.cause = cause


def _write(target, chunk: bytes) -> None:
    try:
        target.write(chunk)
    except OSError as error:
        raise _DiskError(error) from error
