"""IDX files, gzipped: the format of MNIST and Fashion-MNIST."""

import gzip
import pathlib
import zlib

import numpy as np

from kdjax.data.errors import DataError

_PREFIX = {"train": "train", "test": "t10k"}
FILE_NAMES = tuple(
    f"{prefix}-{kind}-ubyte.gz"
    for prefix in _PREFIX.values()
    for kind in ("images-idx3", "labels-idx1")
)


def read_split(directory: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads image uint8 [n, 28, 28, 1] and label uint8 [n] of "train" or "test".

    Raises:
      DataError: a file is truncated, of another form, or the two do not belong
        together.
    """
    prefix = _PREFIX[split]
    image = read_idx(directory / f"{prefix}-images-idx3-ubyte.gz", ranks=3)
    label = read_idx(directory / f"{prefix}-labels-idx1-ubyte.gz", ranks=1)
    if len(image) != len(label) or image.shape[1:] != (28, 28):
        raise DataError(
            f"{directory}: {split} images have shape {image.shape} and labels "
            f"{label.shape}; expected [n, 28, 28] and [n]. Fetch the four files anew."
        )
    if label.size and label.max() > 9:
        raise DataError(
            f"{directory}: {split} label[{int(np.argmax(label > 9))}] is "
            f"{label.max()}; expected 0 to 9. Fetch the four files anew."
        )
    return image[..., None], label


def read_idx(path: pathlib.Path, ranks: int) -> np.ndarray:
    """Reads one gzipped IDX file of unsigned bytes with `ranks` axes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: not a complete gzip file ({error}); fetch it anew."
        ) from error
    start = 4 + 4 * ranks
    # Two zero bytes, 8 for unsigned bytes, the number of axes; then big-endian sizes.
    if len(content) < start or content[:4] != bytes([0, 0, 8, ranks]):
        raise DataError(
            f"{path}: starts with {content[:4].hex()}; expected 000008{ranks:02x}, an "
            f"IDX file of bytes with {ranks} axes. Is it the file that its name says?"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ranks, offset=4))
    expected = start + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise DataError(
            f"{path}: holds {len(content)} bytes; shape {shape} needs {expected}. "
            "Fetch it anew."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
