"""Networks' outputs on images that stay on disk, and what is kept of them."""

import jax
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.experiment.pretrained import Teacher
from kdjax.runner.outputs import Images, TrainedNetwork
from tests.data.jpegs import pictures, prepare_jpegs
from tests.networks import coarse

DATA = {"normalisation": {"mean": [0.4, 0.5, 0.5], "std": [0.3, 0.3, 0.3]}}


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("jpegs")
    rows = pictures(21)
    prepare_jpegs(data_dir, {"train": rows, "test": rows[:9]})
    crops = Geometry(size=16, short_side=20)
    return load_split("jpeg_set", "test", data_dir=data_dir, crops=crops)


def trained(classes, scale=1.0):
    network = coarse(classes)
    images = np.zeros((1, 16, 16, 3), np.float32)
    params, stats = network.init(jax.random.key(0), images)
    params = jax.tree.map(lambda x: scale * np.asarray(x), params)
    return Teacher(network, (params, stats), {})


def of(teacher, file=None, step=1):
    return TrainedNetwork("net", {"step": step}, {}, DATA, lambda: teacher, file)


def test_an_even_part_of_a_set_on_disk(streamed):
    images = Images(streamed, 5, None)
    teacher = trained(len(streamed.class_names))
    outputs = images.outputs(of(teacher))
    rows = [0, 2, 4, 6, 8]
    pixels = np.stack([streamed.image[i : i + 1][0] for i in rows])
    normal = (np.float64(pixels) / 255 - [0.4, 0.5, 0.5]) / 0.3
    flat = normal[:, ::4, ::4].reshape(5, -1)
    dense = teacher.variables[0]["Dense_0"]
    expected = flat @ np.float64(dense["kernel"]) + dense["bias"]
    np.testing.assert_allclose(outputs.logits, expected, atol=1e-4)
    np.testing.assert_array_equal(images.image_at(3), pixels[3])
    np.testing.assert_array_equal(images.split.label, streamed.label[rows])
    assert images.total == 9


def test_what_is_kept_is_of_these_weights_and_images(streamed, tmp_path):
    classes, file = len(streamed.class_names), tmp_path / "net"
    first = Images(streamed, None, (), "test").outputs(of(trained(classes), file))

    def kept(most, step):
        loud = of(trained(classes, scale=2.0), file, step)
        outputs = Images(streamed, most, (), "test").outputs(loud)
        return np.array_equal(outputs.logits, first.logits)

    assert kept(None, 1) and kept(None, 1)
    assert not kept(5, 1)
    Images(streamed, None, (), "test").outputs(of(trained(classes), file))
    assert not kept(None, 2)


@pytest.mark.errors
def test_a_network_that_diverged_is_named(streamed):
    diverged = of(trained(len(streamed.class_names), scale=np.nan))
    with pytest.raises(InputError, match="net answers 9 of 9 images with NaN"):
        Images(streamed, None, None).outputs(diverged)
