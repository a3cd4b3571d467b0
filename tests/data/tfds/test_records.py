"""Reading one feature of a record, held against TFDS's own reader."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError

from kdjax.data.tfds.records import bytes_feature

SKIP = {"image": tfds.decode.SkipDecoding()}
FEATURES = tfds.features.FeaturesDict(
    {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(num_classes=1000),
        "file_name": tfds.features.Text(),
        "boxes": tfds.features.Sequence(tfds.features.BBoxFeature()),
    }
)


def record(content, label=3, name="a.JPEG", boxes=0):
    box = tfds.features.BBox(0.1, 0.2, 0.3, 0.4)
    example = {"image": io.BytesIO(content), "label": label, "file_name": name}
    return FEATURES.serialize_example(example | {"boxes": [box] * boxes})


def test_it_reads_what_tfds_reads():
    rng = np.random.default_rng(0)
    for size in [0, 1, 2, 126, 127, 128, 129, 16383, 16384, 50_000, 2_100_000]:
        content = rng.bytes(size)
        written = record(content, int(rng.integers(1000)), "x" * (size % 300), size % 3)
        expected = FEATURES.deserialize_example_np(written, decoders=SKIP)["image"]
        assert bytes_feature(written, "image") == expected == content


def test_what_is_not_there_or_not_one_is_refused():
    written = record(b"abc")
    with pytest.raises(ValueError, match="'picture' has 0 values"):
        bytes_feature(written, "picture")
    with pytest.raises(ValueError, match="'label' has 0 values"):
        bytes_feature(written, "label")
    several = tfds.features.FeaturesDict({"image": tfds.features.Sequence(np.bytes_)})
    with pytest.raises(ValueError, match="'image' has 2 values"):
        bytes_feature(several.serialize_example({"image": [b"a", b"b"]}), "image")
    with pytest.raises(DecodeError):
        bytes_feature(written[:-2], "image")
