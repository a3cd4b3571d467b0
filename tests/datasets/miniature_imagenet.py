"""ImageNet's archives and folders in their official layout, with few tiny pictures."""

import io
import tarfile

from kdjax.datasets.archives.imagenet import class_names
from tests.data.jpegs import encode, picture


def train_pictures(synsets, each=1):
    """{synset: {file name: content}}; a picture's red says which synset it is of."""
    return {
        synset: {f"{synset}_{i}.JPEG": tiny(number, i) for i in range(each)}
        for number, synset in enumerate(synsets)
    }


def tiny(number, variant=0):
    size = (40 + number % 9, 42 + (number + variant) % 7)
    return encode(picture(*size, number % 25), quality=80, subsampling=2)


def validation_pictures(count):
    """{official file name: content}."""
    return {f"ILSVRC2012_val_{i:08}.JPEG": tiny(i) for i in range(1, count + 1)}


def write_archives(directory, train, validation):
    """The two tars: one of tars, one for each synset; and one of pictures."""
    tars = {f"{name}.tar": tar_of(files) for name, files in train.items()}
    (directory / "ILSVRC2012_img_train.tar").write_bytes(tar_of(tars))
    (directory / "ILSVRC2012_img_val.tar").write_bytes(tar_of(validation))


def write_folder(root, splits):
    """{folder: {class: {file name: content}}} as folders."""
    for split, classes in splits.items():
        for name, files in classes.items():
            (root / split / name).mkdir(parents=True)
            for file, content in files.items():
                (root / split / name / file).write_bytes(content)


def tar_of(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


SYNSETS = class_names()
