"""The peers do the same work: networks, loss, update and crops, against kdjax."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import flags
from kdjax.data.transforms.augment import crop_and_flip, normalise
from kdjax.methods import kd
from kdjax.models import create
from kdjax.training.optimizers import sgd
from kdjax.training.schedules import constant_schedule
from kdjax.training.state import Student, initial_state
from kdjax.training.step import TeacherResults
from kdjax.types import Batch, Outputs
from tests import reference
from tests.training.updates import updated

pytestmark = pytest.mark.parity
CLASSES, SIDE, ROWS = 7, 16, 6


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def lean(depth, k, seed):
    from benchmarks.torch_nets import WideResNet
    from tests.parity.torch_models import randomise

    return randomise(WideResNet(depth, k, CLASSES), seed)


def test_the_lean_networks_are_those_of_the_parity_tests(torch):
    from tests.parity.torch_models import WideResNet

    mine, other = lean(16, 2, 3), WideResNet(16, 2, CLASSES)
    other.load_state_dict(mine.state_dict())
    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for training in (False, True):
        mine.train(training), other.train(training)
        torch.testing.assert_close(mine(images), other(images))
    torch.testing.assert_close(mine.state_dict(), other.state_dict())


def test_residual_networks_are_those_of_the_parity_tests(torch):
    from benchmarks.torch_nets import network
    from tests.parity.torch_models import ResNet, randomise

    mine = randomise(network(("resnet", 34), CLASSES), 3)
    widths, blocks = (64, 128, 256, 512), (3, 4, 6, 3)
    other = ResNet(64, widths, blocks, CLASSES, large=True)
    other.load_state_dict(mine.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for training in (False, True):
        mine.train(training), other.train(training)
        torch.testing.assert_close(mine(images), other(images))
    torch.testing.assert_close(mine.state_dict(), other.state_dict())


def test_the_loss_is_that_of_the_reference(torch):
    from benchmarks.torch_loop import kd_loss

    rng = np.random.default_rng(0)
    student, teacher_outputs = rng.normal(size=(2, ROWS, CLASSES)) * 5
    labels = rng.integers(0, CLASSES, ROWS)
    hard = reference.cross_entropy(student, reference.one_hot(labels, CLASSES))
    soft, _ = reference.kl_divergence(student, teacher_outputs, flags.TEMPERATURE)
    expected = (1 - flags.ALPHA) * hard + flags.ALPHA * flags.TEMPERATURE**2 * soft
    loss = kd_loss(*map(torch.from_numpy, (student, teacher_outputs, labels)))
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)


def test_an_update_moves_the_weights_as_kdjax_does(torch):
    """Two steps, so that momentum counts; losses of the two agree as well."""
    from benchmarks import torch_loop
    from tests.parity.test_models import to_flax

    rng = np.random.default_rng(1)
    images = rng.normal(size=(ROWS, SIDE, SIDE, 3)).astype(np.float32)
    teacher_outputs = rng.normal(size=(ROWS, CLASSES)).astype(np.float32) * 3
    labels = rng.integers(0, CLASSES, ROWS)
    model = lean(10, 1, 5)
    params, batch_stats = to_flax(model)
    before = jax.tree.map(np.asarray, params)

    optimizer = torch_loop.optimizer_of(model.double(), fused=False)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2)).double()
    theirs = []
    for _ in range(2):
        outputs = model(pixels)
        loss = torch_loop.kd_loss(
            outputs, torch.from_numpy(teacher_outputs), torch.from_numpy(labels)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs.append(float(loss.detach()))

    student = Student(
        network=create("wide_resnet", depth=10, width=1, num_classes=CLASSES),
        method=kd.build(alpha=flags.ALPHA, temperature=flags.TEMPERATURE),
        optimizer=sgd(schedule=constant_schedule(learning_rate=flags.LEARNING_RATE)),
        seed=0,
    )
    state = initial_state(student, images)
    state = types.SimpleNamespace(
        **vars(state) | {"params": params, "batch_stats": batch_stats}
    )
    batch = Batch(
        image=jnp.asarray(images),
        label=jnp.asarray(labels, jnp.int32),
        index=jnp.arange(ROWS, dtype=jnp.int32),
        epoch=jnp.zeros(ROWS, jnp.int32),
        sample_info={},
    )
    after, ours = moved(
        student, state, Outputs(jnp.asarray(teacher_outputs), {}), batch
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    expected, _ = to_flax(model)
    for (path, a), b, start in zip(
        jax.tree.leaves_with_path(after.params),
        jax.tree.leaves(expected),
        jax.tree.leaves(before),
        strict=True,
    ):
        distance = np.abs(b - start).max()
        assert distance > 1e-6, path
        assert np.abs(a - b).max() < 1e-3 * distance + 1e-7, path


def moved(student, state, teacher_outputs, batch):
    """(state after two updates, their losses)"""
    from kdjax.training.state import TrainState

    state, losses = TrainState(**vars(state)), []
    teacher = TeacherResults(teacher_outputs)
    step = jax.jit(lambda state: updated(student, state, teacher, batch))
    for _ in range(2):
        state, metrics = step(state)
        losses.append(float(metrics["loss"]))
    return state, losses


def test_batched_crops_are_kdjaxs(torch):
    from benchmarks.torch_data import OnDevice, noise

    images, labels = noise(20, 8, CLASSES)
    options = types.SimpleNamespace(image_size=8, batch_size=5)
    feed = OnDevice(images, labels, options, torch.device("cpu"))
    index, (row, column, mirror) = torch.tensor([3, 0, 19, 7, 7]), feed.draw()
    augmented = feed.augment(index, row, column, mirror)
    assert augmented.is_contiguous(memory_format=torch.channels_last)
    draws = [jnp.asarray(part.numpy()) for part in (row, column, mirror)]
    draws[:2] = [part.astype(jnp.int32) for part in draws[:2]]
    crops = crop_and_flip(jnp.asarray(images[index]), *draws, padding=1)
    expected = normalise(crops, mean=(flags.MEAN,) * 3, std=(flags.STD,) * 3)
    np.testing.assert_allclose(
        augmented.numpy().transpose(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-6
    )
    batch = next(iter(feed))
    assert batch[0].shape == (5, 3, 8, 8) and set(batch[1].tolist()) <= set(labels)


def test_a_workers_crop_is_a_crop(torch):
    """Each of 60 draws is one of the 18 possible images, and most of those come."""
    from benchmarks.torch_data import OneByOne, noise

    images, labels = noise(3, 4, CLASSES)
    data, padded = (
        OneByOne(images, labels, 1),
        np.pad(images[2], ((1, 1), (1, 1), (0, 0))),
    )
    possible = {}
    for row in range(3):
        for column in range(3):
            crop = padded[row : row + 4, column : column + 4]
            for image in (crop, crop[:, ::-1]):
                pixels = (image.transpose(2, 0, 1) / 255 - flags.MEAN) / flags.STD
                possible[len(possible)] = pixels
    torch.manual_seed(0)
    crops = set()
    for _ in range(60):
        pixels, label = data[2]
        assert label == labels[2] and pixels.dtype == np.float32
        fits = [k for k, p in possible.items() if np.allclose(p, pixels, atol=1e-5)]
        assert len(fits) == 1
        crops.add(fits[0])
    assert len(crops) > 12


def test_the_default_of_a_machine_without_16_bits_is_reported(torch, monkeypatch):
    from benchmarks import torch_loop, worker

    monkeypatch.setattr(torch_loop, "low_precision", lambda device: None)
    options = types.SimpleNamespace(variant="amp", platform="cpu")
    with pytest.raises(worker.Unavailable, match="16 bits"):
        torch_loop.start(options)


def test_a_missing_compiler_is_noted_and_the_loop_goes_on(torch, monkeypatch):
    from benchmarks import torch_loop

    def broken(function):
        def call(*args):
            raise RuntimeError("No working C++ compiler found\nand more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    options = types.SimpleNamespace(
        **{"variant": "best", "platform": "cpu", "pair": "wrn_10_1:wrn_10_1"},
        **{"batch_size": 4, "image_size": 8, "classes": CLASSES, "images": 8},
        compile=True,
    )
    description, run = torch_loop.start(options)
    (note,) = description["notes"]
    assert note == "not compiled: RuntimeError: No working C++ compiler found"
    run(2)
