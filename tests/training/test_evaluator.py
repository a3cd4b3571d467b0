"""How many images an evaluation takes at a time, and that this changes no number."""

import jax
import numpy as np
import pytest

from kdjax.data.load import Split
from kdjax.models.network import Network
from kdjax.training import evaluator, sharding
from kdjax.training.evaluator import answerer, evaluation_rows, scorer, usual_rows
from tests.networks import linear

CLASSES = 5


def split_of(samples: int) -> Split:
    random = np.random.default_rng(samples)
    image = random.integers(0, 256, (samples, 2, 2, 3)).astype(np.uint8)
    label = random.integers(0, CLASSES, samples).astype(np.int32)
    return Split(image, label, tuple("abcde"), {})


@pytest.mark.parametrize(
    ("devices", "samples", "batch_size", "rows"),
    (
        (8, 10_000, 0, 504),  # on a CPU; the devices divide it
        (8, 100, 0, 104),  # no larger than the split
        (8, 10_000, 500, 504),
        (2, 37, 500, 38),
    ),
)
def test_batches_have_as_many_rows_as_the_devices_divide(
    devices, samples, batch_size, rows
):
    mesh = sharding.make_mesh(jax.devices()[:devices])
    batches = evaluation_rows(split_of(samples), batch_size, mesh)
    assert {len(batch["label"]) for batch in batches.rows} == {rows}
    assert sum(batches.counts) == samples
    assert sum(batch["valid"].sum() for batch in batches.rows) == samples


def test_batches_grow_with_the_accelerators():
    """What one of them gets does not depend on how many there are."""
    assert {usual_rows("gpu", n, n // 8) / n for n in (8, 64)} == {250}
    assert usual_rows("tpu", 1, 1) == 250
    # All devices of a CPU take from one memory, on each host.
    assert {usual_rows("cpu", n, 1) for n in (1, 64)} == {500}
    assert usual_rows("cpu", 64, 4) == 2000


def normalise(images):
    return images.astype(np.float32) / 255


@pytest.fixture(scope="module")
def network() -> tuple[Network, tuple]:
    network = linear(CLASSES)
    key, images = jax.random.key(0), np.zeros((1, 2, 2, 3), np.float32)
    return network, network.init(key, images)


def test_numbers_are_those_of_any_batch_and_any_number_of_devices(network, monkeypatch):
    monkeypatch.setattr(evaluator, "usual_rows", lambda _, devices, __: 3 * devices)
    split, found = split_of(61), []
    for devices, batch_size in ((1, 61), (1, 7), (8, 0), (4, 16)):
        mesh = sharding.make_mesh(jax.devices()[:devices])
        batches = evaluation_rows(split, batch_size, mesh)
        variables = sharding.place_replicated(network[1], mesh)
        row = scorer({"s": network[0]}, normalise, batches)({"s": variables})["s"]
        logits = answerer(network[0], normalise, batches, False)(variables)["logits"]
        found.append((row, logits))
    whole, logits = found[0]
    assert whole["count"] == 61
    top1 = 100 * np.mean(logits.argmax(-1) == split.label)
    for row, own in found:
        assert (row["count"], row["top1"]) == (61, pytest.approx(top1, rel=1e-12))
        assert row == pytest.approx(whole, rel=1e-5)
        np.testing.assert_allclose(own, logits, rtol=1e-5, atol=1e-5)
