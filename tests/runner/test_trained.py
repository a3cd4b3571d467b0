"""A trained network in memory: its logits of as many images as one likes."""

import jax
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.runner import trained
from tests.networks import coarse

MEAN, STD = [0.4, 0.5, 0.5], [0.3, 0.3, 0.3]
DATA = {"image_shape": [16, 16, 3], "normalisation": {"mean": MEAN, "std": STD}}


def test_many_images_go_through_one_program_slice_by_slice(tmp_path, monkeypatch):
    """As many at a time as fit: all of a set at once do not."""
    monkeypatch.setattr(trained, "SLICE", 16)
    network, sizes = coarse(4), []
    images = np.random.default_rng(3).integers(0, 256, (37, 16, 16, 3), np.uint8)
    params, stats = network.init(jax.random.key(0), np.zeros((1, 16, 16, 3), "f4"))

    def evaluate(params, batch_stats, images):
        sizes.append(len(images))
        return network.evaluate(params, batch_stats, images)

    ours = network._replace(evaluate=evaluate)
    one = trained.Trained(tmp_path, "kd", ours, params, stats, {}, [], DATA)
    logits = one.logits(images)
    flat = ((np.float64(images) / 255 - MEAN) / STD)[:, ::4, ::4].reshape(37, -1)
    kernel, bias = (np.float64(params["Dense_0"][key]) for key in ("kernel", "bias"))
    np.testing.assert_allclose(logits, flat @ kernel + bias, atol=1e-4)
    assert sizes == [16]  # traced once
    np.testing.assert_allclose(one.logits(images[:5]), logits[:5], atol=1e-5)


@pytest.mark.errors
@pytest.mark.parametrize("shape", [(8, 8, 3), (16, 8, 3), (32, 32, 3), (16, 16, 1)])
def test_images_of_another_size_are_refused(tmp_path, shape):
    """A network that pools over all of its maps would answer all the same."""
    network = create("resnet8", num_classes=4)
    one = trained.Trained(tmp_path, "kd", network, {}, {}, {}, [], DATA)
    message = r"shape \(2, {}, {}, {}\); expected uint8 of shape \(n, 16, 16, 3\)"
    with pytest.raises(InputError, match=message.format(*shape)):
        one.logits(np.zeros((2, *shape), np.uint8))
