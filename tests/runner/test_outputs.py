"""Networks' outputs on images that stay on disk, and what is kept of them."""

import hashlib
import json

import jax
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.experiment.pretrained import Teacher
from kdjax.models.classifiers import Reuse, with_reused_classifier
from kdjax.reporting.files import replace_npz
from kdjax.runner.outputs import Images, TrainedNetwork
from kdjax.weights.input_transforms import reordered
from tests.data.jpegs import pictures, prepare_jpegs
from tests.networks import coarse, staged

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


def reusing(classes):
    """A SimKD student, as wide as its teacher: its own head has the same shape."""
    rng = np.random.default_rng(0)
    classifier = rng.normal(size=(16, classes)), rng.normal(size=classes)
    network = with_reused_classifier(
        staged(classes, width=4), Reuse("stage3_preact", channels=16), classifier
    )
    images = np.zeros((1, 16, 16, 3), np.float32)
    variables = jax.jit(network.init)(jax.random.key(0), images)
    return Teacher(network, variables, {"reused_classifier": {}})


def other_classes(classes):
    """A teacher with two classes more, of which those of the set have other places."""
    own, places = trained(classes + 2), (3, 0, *range(4, classes + 2))
    changes = {"adapted": {"of_classes": classes + 2}}
    return Teacher(reordered(own.network, places), own.variables, changes, 1, places)


def check_points(outputs, features, kernel):
    """Distances in the plane are those of the features projected onto it."""
    plane = np.float64(kernel[:, 1:] - kernel[:, :1])
    flat = np.float64(features) @ (plane @ np.linalg.pinv(plane)).T
    gaps = np.linalg.norm(flat - flat[0], axis=1)
    own = np.linalg.norm(outputs.points - outputs.points[0], axis=1)
    np.testing.assert_allclose(own, gaps, rtol=1e-3, atol=1e-3 * gaps.max())


@pytest.mark.parametrize("kind", [reusing, other_classes])
def test_points_are_of_the_classifier_that_predicts(streamed, kind):
    shown = (0, 1, 2)
    images, teacher = Images(streamed, None, shown), kind(len(streamed.class_names))
    outputs = images.outputs(of(teacher))
    pixels = np.stack([images.image_at(i) for i in range(9)]) / np.float32(255)
    normal = (pixels - np.float32([0.4, 0.5, 0.5])) / np.float32(0.3)
    features = teacher.network.evaluate(*teacher.variables, normal).features["pooled"]
    params, stats = teacher.variables
    if kind is reusing:
        kernel = stats["classifier"]["kernel"][:, shown]
        assert params["network"]["head"]["kernel"].shape == (16, len(outputs.logits[0]))
    else:
        kernel = params["Dense_0"]["kernel"][:, [3, 0, 4]]
    rows = np.isin(images.split.label, shown)
    check_points(outputs, np.asarray(features)[rows], np.asarray(kernel))


@pytest.mark.parametrize(
    "architecture, is_kept",
    [
        ({"model": {}, "reused_classifier": None}, True),
        ({"teacher": {"digest": "d"}}, True),
        ({"model": {}, "reused_classifier": {"channels": 16}}, False),
        ({"teacher": {"adapted": {"of_classes": 9}}}, False),
    ],
)
def test_points_that_earlier_versions_kept(streamed, tmp_path, architecture, is_kept):
    images = Images(streamed, None, (), "test")
    identity = json.dumps([{"step": 1}, streamed.identity, 9], sort_keys=True)
    logits = np.zeros((9, len(streamed.class_names)), np.float32)
    arrays = {"logits": logits, "feature_norms": np.ones(9), "classes": np.array([])}
    key = np.array(hashlib.sha256(identity.encode()).hexdigest())
    replace_npz(tmp_path / "net-test.npz", **arrays, key=key)
    network = of(trained(len(streamed.class_names)), tmp_path / "net")
    outputs = images.outputs(network._replace(architecture=architecture))
    assert (not outputs.logits.any()) == is_kept


@pytest.mark.errors
def test_a_network_that_diverged_is_named(streamed):
    diverged = of(trained(len(streamed.class_names), scale=np.nan))
    with pytest.raises(InputError, match="net answers 9 of 9 images with NaN"):
        Images(streamed, None, None).outputs(diverged)
