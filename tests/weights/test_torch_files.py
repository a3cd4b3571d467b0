"""PyTorch's files: refused without PyTorch, and with it never run.

$KDJAX_WEIGHTS may name a directory with the published CIFAR-10 checkpoints
resnet20-12fca82f.th and resnet56-4bfd9763.th; they are not part of this project.
"""

import argparse
import json
import os
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.cli import import_
from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.weights import imported, torch_files, trees
from tests.weights import numpy_resnet

PUBLISHED = {"resnet20": "resnet20-12fca82f.th", "resnet56": "resnet56-4bfd9763.th"}


class Bomb:
    """Runs a command where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_without_pytorch_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    file = tmp_path / "weights.pth"
    file.write_bytes(b"x")
    with pytest.raises(InputError, match="it is not installed. pip install torch, or"):
        imported.read(file)


@pytest.mark.parity
def test_a_state_dict_is_read_bare_or_wrapped(tmp_path):
    import torch

    weight = torch.arange(6.0).reshape(2, 3) / 4
    state = {"a": weight, "b": weight.bfloat16(), "c": torch.tensor(3)}
    for number, saved in enumerate((state, {"state_dict": state, "epoch": 3})):
        file = tmp_path / f"{number}.th"
        torch.save(saved, file)
        actual = torch_files.read(file)
        assert actual.keys() == state.keys()
        np.testing.assert_array_equal(actual["a"], weight.numpy())
        np.testing.assert_array_equal(actual["b"], weight.numpy())
        assert actual["b"].dtype == np.float32 and actual["c"].dtype == np.int64


@pytest.mark.parity
@pytest.mark.parametrize(
    "names", (("state_dict", "state_dict_ema"), ("model", "model_ema"))
)
def test_averaged_weights_are_not_dropped(tmp_path, names):
    """As timm's and torchvision's scripts save them."""
    import torch

    plain, ema = names
    averaged = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 1))
    averaged.update_parameters(torch.nn.Linear(2, 1))
    average = averaged.state_dict()
    assert "n_averaged" in average  # which is no weight
    training = {"weight": torch.ones(1, 2), "bias": torch.ones(1)}
    state = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": []}
    saved = {plain: training, ema: average, "optimizer": state, "epoch": 3}
    file = tmp_path / "checkpoint.pth"
    torch.save(saved, file)
    with pytest.raises(InputError, match=f"Expected --key={plain} or --key={ema}"):
        imported.read(file)
    with pytest.raises(InputError, match="--key is 'net'.* holds weights under"):
        imported.read(file, "net")
    actual = imported.read(file, plain)
    np.testing.assert_array_equal(actual["weight"], [[1, 1]])
    actual = imported.read(file, ema)
    assert actual.keys() == {"module.weight", "module.bias"}
    wanted = average["module.weight"].numpy()
    np.testing.assert_array_equal(actual["module.weight"], wanted)


@pytest.mark.parity
def test_the_key_is_told_of_the_teacher(tensors, tmp_path, as_they_are):
    import torch

    state = {name: torch.from_numpy(np.asarray(x)) for name, x in tensors.items()}
    wrapped = {f"module.{name}": x * 1 for name, x in state.items()}
    wrapped["n_averaged"] = torch.tensor(5)
    torch.save({"model": state, "model_ema": wrapped}, tmp_path / "x.pth")
    words = [str(tmp_path / "x.pth"), "--model=resnet8", "--image_shape=28,28,1"]
    words += ["--mean=0.5", "--std=0.5", f"--workdir={tmp_path / 'w'}"]
    assert import_.main([*words, "--key=model_ema"]) == 0
    error = json.loads((tmp_path / "w" / "imported.json").read_text())
    assert error["imported"]["key"] == "model_ema"


@pytest.mark.parity
def test_what_would_run_is_refused(tmp_path):
    import torch

    file, created = tmp_path / "bomb.pth", tmp_path / "made"
    torch.save({"state_dict": {"a": Bomb(created)}}, file)
    with pytest.raises(
        InputError, match="does not load this as weights alone"
    ) as error:
        torch_files.read(file)
    assert not created.exists()
    assert "alone: UnpicklingError: Trying to load unsupported" in str(error.value)
    assert "mkdir" in str(error.value)


@pytest.mark.parity
def test_an_object_is_named_and_what_to_expect_of_who_made_the_file(tmp_path):
    import torch

    file = tmp_path / "x.pth"
    torch.save(
        {"model": {"a": torch.ones(2)}, "args": pathlib.PurePosixPath("x")}, file
    )
    with pytest.raises(InputError) as error:
        torch_files.read(file)
    assert "alone: WeightsUnpickler error: Unsupported" in str(error.value)
    assert "pathlib.PurePosixPath" in str(error.value)
    assert "\x1b" not in str(error.value) and len(str(error.value)) < 700
    assert "torch.save(model.state_dict(), FILE)" in str(error.value)
    assert "weights_only" not in str(error.value)


@pytest.mark.parity
def test_flags_of_a_training_may_lie_beside_the_weights(tmp_path):
    """As torchvision's and timm's scripts save them."""
    import torch

    flags = argparse.Namespace(lr=0.1, model="resnet50", world=None, opt=("sgd", 0.9))
    saved = {"model": {"a": torch.ones(2)}, "args": flags, "epoch": 89}
    torch.save(saved, tmp_path / "checkpoint.pth")
    actual = torch_files.read(tmp_path / "checkpoint.pth")
    np.testing.assert_array_equal(actual["a"], [1.0, 1.0])


@pytest.mark.parity
@pytest.mark.parametrize(
    ("saved", "error"), (({"epoch": 3}, "it holds epoch"), ([1], "it holds a list"))
)
def test_a_file_without_weights_is_told(tmp_path, saved, error):
    import torch

    torch.save(saved, tmp_path / "x.pt")
    with pytest.raises(InputError, match=error):
        torch_files.read(tmp_path / "x.pt")


@pytest.mark.parity
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cifar_weights_answer_as_their_authors_network(name):
    """Against the float64 network that the names describe, zero padding included."""
    file = pathlib.Path(os.environ.get("KDJAX_WEIGHTS", "")) / PUBLISHED[name]
    if not os.environ.get("KDJAX_WEIGHTS") or not file.exists():
        pytest.skip("$KDJAX_WEIGHTS names no directory with these files")
    tensors = imported.read(file)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    network = create(name, num_classes=10)
    wanted = jax.eval_shape(network.init, jax.random.key(0), jnp.asarray(images))
    read = trees.to_variables(str(file), tensors, wanted)
    assert read.layout == "torchvision without projections"
    plain = {key.removeprefix("module."): x for key, x in tensors.items()}
    expected = numpy_resnet.logits(plain, images)
    actual = jax.jit(network.evaluate)(*read.variables, images).logits
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())
