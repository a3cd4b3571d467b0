"""Makes fashion_mnist_subset.xz from the four official Fashion-MNIST files.

python -m kdjax.data.embedded.make DIR     DIR holds
{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz
"""

import hashlib
import lzma
import pathlib
import sys

import numpy as np

from kdjax.data import embedded
from kdjax.datasets.archives import idx

# 16 MiB hold the whole content; a bigger dictionary would only cost memory.
_FILTERS = [
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24}
]


def first_of_each_class(label: np.ndarray, per_class: int) -> np.ndarray:
    """Positions of the first `per_class` samples of every class, ascending."""
    classes = range(len(embedded.CLASS_NAMES))
    chosen = [np.flatnonzero(label == name)[:per_class] for name in classes]
    return np.sort(np.concatenate(chosen))


def make(archives: pathlib.Path) -> bytes:
    """Returns the embedded file's content, a pure function of the official files."""
    splits = {}
    for split, per_class in embedded.PER_CLASS.items():
        image, label = idx.read_split(archives, split)
        chosen = first_of_each_class(label, per_class)
        splits[split] = (image[chosen], label[chosen])
    return embedded.pack(splits)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    content = make(pathlib.Path(argv[0]))
    packed = lzma.compress(content, lzma.FORMAT_XZ, filters=_FILTERS)
    target = pathlib.Path(__file__).with_name(embedded.FILE_NAME)
    target.write_bytes(packed)
    print(f"{target}: {len(packed)} bytes")
    print(f"SHA-256 of the file:    {hashlib.sha256(packed).hexdigest()}")
    print(f"SHA-256 of the content: {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
