"""What a record says beyond the last scores: its teacher's errors under label noise."""

import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.experiment import schema
from kdjax.experiment.pretrained import Teacher
from kdjax.models.network import Network
from kdjax.reproduce import measurements
from kdjax.types import Outputs

CLASSES = 5


def of_pixel(params, batch_stats, images):
    """Predicts the class that an image is painted with, and 0 instead of 4."""
    painted = jnp.round(images[:, 0, 0, :1] * 255 / 20)
    painted = jnp.where(painted == CLASSES - 1, 0, painted)
    classes = jnp.arange(CLASSES, dtype="float32")[None]
    return Outputs(-jnp.abs(painted - classes), {})


@pytest.mark.parametrize("is_noisy", [False, True])
def test_wrong_labels_are_of_the_given_and_of_the_true_ones(
    tmp_path, monkeypatch, is_noisy
):
    true = np.repeat(np.arange(CLASSES), 40)
    image = np.broadcast_to(20 * true[:, None, None, None], (200, 4, 4, 3))
    arrays = {"train_image": image.astype(np.uint8), "train_label": true}
    arrays |= {k.replace("train", "test"): x[:40] for k, x in arrays.items()}
    np.savez(tmp_path / "painted.npz", **arrays)
    config = schema.nested()
    section = {"name": "painted.npz", "data_dir": str(tmp_path), "padding": 0}
    config["data"] |= section | {"flip": False, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    if is_noisy:
        config["data"]["noise"] = {"name": "symmetric", "rate": 0.4, "seed": 3}
    teacher = Teacher(Network(None, None, of_pixel), ({}, {}), {"digest": "d"})
    monkeypatch.setattr(measurements, "load_teacher", lambda *_: teacher)
    wrong = measurements.wrong_labels(config)
    assert wrong["images"] == 200
    if not is_noisy:  # one class of five is never predicted
        assert wrong == {"images": 200, "percent": 20.0}
        return
    given = measurements.load_data(config["data"]).train.label
    predicted = np.where(true == CLASSES - 1, 0, true)
    assert wrong["percent"] == 100 * np.mean(predicted != given) > 35
    assert wrong["percent_of_true"] == 20.0
