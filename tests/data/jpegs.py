"""JPEGs of all kinds by Pillow, which kdjax does not decode with, and sets of them."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


def picture(height, width, number=0):
    """A smooth uint8 RGB picture whose red says which one it is."""
    rows, columns = np.mgrid[:height, :width]
    green = 127 + 100 * np.sin(rows / 9 + number)
    blue = 127 + 100 * np.cos(columns / 7 - number)
    red = np.full((height, width), 10.0 * number)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encode(image, mode="RGB", kind="JPEG", **options):
    content = io.BytesIO()
    if kind == "JPEG":
        options = {"quality": 95, "subsampling": 0} | options
    Image.fromarray(image).convert(mode).save(content, kind, **options)
    return content.getvalue()


def decoded(content):
    """What Pillow makes of it, as torchvision loads its pictures."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def odd_header(content):
    """A colour JPEG whose scan tells of one coefficient; all of them are decoded."""
    last = content.index(b"\xff\xda") + 12
    assert content[last] == 63
    return content[:last] + b"\0" + content[last + 1 :]


class JpegSet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Files as they are, in the layout of ImageNet's set."""

    VERSION = tfds.core.Version("1.0.0")
    rows, channels = {}, 3

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, self.channels)),
            "label": tfds.features.ClassLabel(num_classes=5),
            "file_name": tfds.features.Text(),
        }
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(rows) for name, rows in self.rows.items()}

    def _generate_examples(self, rows):
        for key, (content, label) in enumerate(rows):
            image = io.BytesIO(content)
            yield key, {"image": image, "label": label, "file_name": f"{key}.JPEG"}


def prepare_jpegs(data_dir, rows, channels=3):
    """Writes {split: [(file's content, label)]} in array_record files."""
    JpegSet.rows, JpegSet.channels = rows, channels
    builder = JpegSet(data_dir=data_dir, file_format="array_record")
    skip = tfds.download.ComputeStatsMode.SKIP
    plain = tfds.download.DownloadConfig(try_download_gcs=False, compute_stats=skip)
    builder.download_and_prepare(download_config=plain)
    return builder


def pictures(count, smallest=40):
    """Pictures of different sizes and their labels, number modulo 5."""
    return [
        (encode(picture(smallest + 3 * i, smallest + 60 - 2 * i, i)), i % 5)
        for i in range(count)
    ]
