"""tf.data as a contestant: the same JPEGs and boxes, through TensorFlow alone.

The records are those of the synthetic set, written once more as TFRecord, which tf.data
reads; the boxes are kdjax's, in its order, and come ready: TensorFlow draws nothing.
Each image is decoded by `decode_and_crop_jpeg`, which skips what lies outside of the
box, and resized. Batches may come in any order of their images, which is faster.

python -m benchmarks.feed_tfdata --data_dir=DIR --resize=bilinear
"""

import argparse
import functools
import os
import pathlib

import numpy as np

from benchmarks import feed_kdjax, worker
from kdjax.data.images.crops import Geometry, crop_bits
from kdjax.data.images.decode import size_of_jpeg
from kdjax.data.loaders.sampler import permutation
from kdjax.data.synthetic import NAME
from kdjax.data.tfds.records import bytes_feature, open_split

EPOCHS = 4  # of boxes, then they repeat
MORE = 6  # batches than are decoded ahead, where nothing chooses their number
RESIZES = ("bilinear", "antialias", "area")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    feed_kdjax.add(parser)
    parser.add_argument("--resize", choices=RESIZES, default="bilinear")
    parser.add_argument("--dct", default="INTEGER_FAST", help="or INTEGER_ACCURATE")
    parser.add_argument("--autotune", action="store_true", help="its own threads")
    worker.serve(functools.partial(start, parser.parse_args(argv)))


def start(options):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        import tensorflow as tf
    except ImportError as error:
        raise worker.Unavailable(f"pip install tensorflow-cpu ({error})") from error
    tf.config.set_visible_devices([], "GPU")
    file, boxes = _written(tf, options)
    batches = _dataset(tf, options, file, boxes).as_numpy_iterator()

    def run(steps):
        steps = MORE if steps == 1 else steps
        for _ in range(steps):
            image, _ = next(batches)
            assert image.shape[:2] == (options.batch_size, options.size)

    return {"version": f"tensorflow {tf.__version__}"}, run


def _dataset(tf, options, file: str, boxes: np.ndarray):
    """uint8 [b, size, size, 3] and int64 [b], for ever."""
    size = (options.size, options.size)
    features = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
    }

    def prepared(record, box):
        row = tf.io.parse_single_example(record, features)
        image = tf.image.decode_and_crop_jpeg(
            row["image"], box, channels=3, dct_method=options.dct
        )
        method = "area" if options.resize == "area" else "bilinear"
        antialias = options.resize == "antialias"
        image = tf.image.resize(image, size, method, antialias=antialias)
        # Interpolation stays within 0 to 255; kdjax rounds, too.
        return tf.cast(image + 0.5, tf.uint8), row["label"]

    records = tf.data.TFRecordDataset(file).repeat(EPOCHS)
    pairs = tf.data.Dataset.zip((records, tf.data.Dataset.from_tensor_slices(boxes)))
    calls = tf.data.AUTOTUNE if options.autotune else options.threads
    batches = (
        pairs.repeat()
        .map(prepared, num_parallel_calls=calls)
        .batch(options.batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE if options.autotune else 2)
    )
    how = tf.data.Options()
    how.deterministic = False
    how.threading.max_intra_op_parallelism = 1
    if not options.autotune:
        how.threading.private_threadpool_size = options.threads
    return batches.with_options(how)


def _written(tf, options) -> tuple[str, np.ndarray]:
    """The records as one file, in the order of an epoch, and boxes for EPOCHS."""
    opened = open_split(NAME, "train", pathlib.Path(options.data_dir))
    geometry = Geometry(size=options.size, short_side=max(256, options.size))
    path = os.path.join(options.data_dir, f"{os.getpid()}.tfrecord")
    order = permutation(0, 0, len(opened.records)).tolist()
    sizes = []
    with tf.io.TFRecordWriter(path) as writer:
        for index in order:
            record = opened.records[index]
            sizes.append(size_of_jpeg(bytes_feature(record, "image")))
            writer.write(record)
    boxes = [
        geometry.random(*size, crop_bits(0, epoch, index))
        for epoch in range(EPOCHS)
        for index, size in zip(order, sizes, strict=True)
    ]
    return path, np.array(boxes, np.int32)  # top, left, height, width, as TensorFlow's


if __name__ == "__main__":
    main()
