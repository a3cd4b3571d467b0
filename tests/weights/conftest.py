"""What the tests of import and export share."""

import pytest

from kdjax.cli import import_
from kdjax.distributed import devices
from kdjax.weights import safetensors
from tests.weights import numpy_resnet

MEAN, STD = (0.25,), (0.5,)


@pytest.fixture
def as_they_are(monkeypatch):
    """The number of devices is the tests', settled long before."""
    monkeypatch.setattr(devices, "configure", lambda *_: 8)


@pytest.fixture(scope="session")
def tensors():
    """Of a grey ResNet-8 without projections, as others publish theirs."""
    return numpy_resnet.draw(11, head="linear", projection="")


@pytest.fixture(scope="session")
def file(tensors, tmp_path_factory):
    pytest.importorskip("safetensors")
    path = tmp_path_factory.mktemp("weights") / "published.safetensors"
    safetensors.write(path, tensors, {"format": "pt"})
    return path


@pytest.fixture(scope="session")
def flags(file):
    """Of `import`, without the workdir."""
    moments = [f"--mean={MEAN[0]}", f"--std={STD[0]}"]
    return [str(file), "--model=resnet8", "--image_shape=28,28,1", *moments]


@pytest.fixture(scope="session")
def teacher(flags, tmp_path_factory):
    """A workdir with these weights."""
    workdir = tmp_path_factory.mktemp("imported") / "teacher"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "configure", lambda *_: 8)
        assert import_.main([*flags, f"--workdir={workdir}"]) == 0
    return workdir
