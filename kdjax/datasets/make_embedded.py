"""Makes fashion_mnist_subset.xz: python -m kdjax.datasets.make_embedded DIR

DIR holds the four official files, {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz.
"""

import hashlib
import lzma
import pathlib
import sys

import numpy as np

from kdjax.data import embedded
from kdjax.datasets.archives import fashion_mnist

# 16 MiB hold the whole content; a bigger dictionary would only cost memory.
_FILTERS = [
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24}
]


def make(archives: pathlib.Path) -> bytes:
    """The embedded file's content: the first samples of every class, in order."""
    splits = {}
    for split, per_class in embedded.PER_CLASS.items():
        image, label = fashion_mnist.read_split(archives, split)
        classes = range(len(embedded.CLASS_NAMES))
        first = [np.flatnonzero(label == number)[:per_class] for number in classes]
        first = np.sort(np.concatenate(first))
        splits[split] = (image[first], label[first])
    return embedded.pack(splits)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    content = make(pathlib.Path(argv[0]))
    packed = lzma.compress(content, lzma.FORMAT_XZ, filters=_FILTERS)
    target = pathlib.Path(embedded.__file__).with_name(embedded.FILE_NAME)
    target.write_bytes(packed)
    file_sum, content_sum = (hashlib.sha256(b).hexdigest() for b in (packed, content))
    print(f"{target}: {len(packed)} bytes, SHA-256 {file_sum}; content {content_sum}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
