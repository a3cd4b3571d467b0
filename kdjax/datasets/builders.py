"""TFDS builders without TensorFlow: from official archives to array_record files.

Where TFDS has a builder of the same name, version and features are the same, so that
`tfds.data_source(name, data_dir=..., download=False)` reads what these prepared. They
are not put into TFDS's registry, where the official ones keep their place.
"""

import io
from collections.abc import Iterator

import tensorflow_datasets as tfds

from kdjax.data import embedded
from kdjax.data.errors import DataError
from kdjax.datasets import encode
from kdjax.datasets.archive_builder import ArchiveBuilder, described
from kdjax.datasets.archives import cifar, cinic10, idx, tiny_imagenet
from kdjax.datasets.imagenet import Imagenet2012


class FashionMnist(ArchiveBuilder, skip_registration=True):
    """Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747)."""

    name = "fashion_mnist"
    VERSION = tfds.core.Version("3.0.1")
    FILES = (idx.FILE_NAMES,)
    SIZES = {"train": 60000, "test": 10000}

    def _info(self):
        return described(
            self,
            "Fashion-MNIST: Zalando's article images, 28 by 28, grey, 10 classes.",
            "https://github.com/zalandoresearch/fashion-mnist",
            {
                "image": tfds.features.Image(shape=(28, 28, 1)),
                "label": tfds.features.ClassLabel(names=embedded.CLASS_NAMES),
            },
        )

    def _generate_examples(self, split):
        return _numbered(*self._read(split))

    def _read(self, split):
        return idx.read_split(self._archives, split)


class FashionMnistSubset(FashionMnist, skip_registration=True):
    """The part of Fashion-MNIST that comes with the package."""

    name = "fashion_mnist_subset"
    VERSION = tfds.core.Version("1.0.0")
    FILES = ()
    SIZES = {split: 10 * count for split, count in embedded.PER_CLASS.items()}

    def _read(self, split):
        return embedded.read()[split]


class Cifar10(ArchiveBuilder, skip_registration=True):
    """CIFAR-10 (Krizhevsky 2009)."""

    name = "cifar10"
    VERSION = tfds.core.Version("3.0.2")
    FILES = (("cifar-10-binary.tar.gz",), ("cifar-10-python.tar.gz",))
    SIZES = {"train": 50000, "test": 10000}
    LABELS = {"label": 10}

    def _info(self):
        labels = {
            name: tfds.features.ClassLabel(num_classes=count)
            for name, count in self.LABELS.items()
        }
        return described(
            self,
            f"{self.name}: photographs, 32 by 32, {self.LABELS['label']} classes.",
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                **labels,
            },
        )

    def _split_generators(self, dl_manager):
        self._content = cifar.read(self._path())
        for feature, count in self.LABELS.items():
            names = self._content.class_names[feature]
            if len(names) != count:
                raise DataError(
                    f"{self._path()}: names {len(names)} classes of {feature}; "
                    f"expected {count}. Is it the file that its name says?"
                )
            self.info.features[feature].names = names
        return super()._split_generators(dl_manager)

    def _generate_examples(self, split):
        labels = self._content.label[split]
        for i, image in enumerate(self._content.image[split]):
            example = {"id": f"{split}_{i:05d}", "image": encode.png(image)}
            yield i, example | {name: int(labels[name][i]) for name in self.LABELS}


class Cifar100(Cifar10, skip_registration=True):
    """CIFAR-100 (Krizhevsky 2009)."""

    name = "cifar100"
    VERSION = tfds.core.Version("3.0.2")
    FILES = (("cifar-100-binary.tar.gz",), ("cifar-100-python.tar.gz",))
    LABELS = {"label": 100, "coarse_label": 20}


class Cinic10(ArchiveBuilder, skip_registration=True):
    """CINIC-10 (Darlow et al. 2018). TFDS has no builder of it."""

    name = "cinic10"
    VERSION = tfds.core.Version("1.0.0")
    FILES = ((cinic10.FILE_NAME,),)
    SIZES = {"train": 90000, "validation": 90000, "test": 90000}

    def _info(self):
        return described(
            self,
            "CINIC-10: CIFAR-10's classes from CIFAR-10 and ImageNet, 32 by 32.",
            "https://datashare.ed.ac.uk/handle/10283/3192",
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(names=cinic10.CLASS_NAMES),
                "source": tfds.features.ClassLabel(names=("cifar10", "imagenet")),
            },
        )

    def _generate_examples(self, split):
        for key, content, label, source in cinic10.read_split(self._path(), split):
            example = {"id": f"{split}/{key}", "image": io.BytesIO(content)}
            yield key, example | {"label": label, "source": source}


class TinyImagenet(ArchiveBuilder, skip_registration=True):
    """Tiny-ImageNet-200. TFDS has no builder of it."""

    name = "tiny_imagenet"
    VERSION = tfds.core.Version("1.0.0")
    FILES = ((tiny_imagenet.FILE_NAME,),)
    SIZES = {"train": 100000, "validation": 10000}

    def _info(self):
        return described(
            self,
            "Tiny-ImageNet-200: ImageNet's pictures, 64 by 64, 200 classes.",
            "http://cs231n.stanford.edu/",
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(64, 64, 3)),
                "label": tfds.features.ClassLabel(num_classes=200),
            },
        )

    def _split_generators(self, dl_manager):
        names = tiny_imagenet.class_names(self._path())
        if len(names) != 200:
            raise DataError(
                f"{self._path()}: wnids.txt names {len(names)} classes; expected 200."
            )
        self.info.features["label"].names = names
        return super()._split_generators(dl_manager)

    def _generate_examples(self, split):
        for key, content, label in tiny_imagenet.read_split(self._path(), split):
            yield key, {"id": key, "image": io.BytesIO(content), "label": label}


BUILDERS = {
    builder.name: builder
    for builder in (
        FashionMnistSubset,
        FashionMnist,
        Cifar10,
        Cifar100,
        Cinic10,
        TinyImagenet,
        Imagenet2012,
    )
}


def _numbered(images, labels) -> Iterator[tuple[int, dict]]:
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield i, {"image": encode.png(image), "label": int(label)}
