"""One of everything that the doctor looks at, made once and restored after a test."""

import pathlib
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.cli import cache
from kdjax.data import npz
from kdjax.data.split import in_memory
from kdjax.datasets.folder_builder import prepare_folder
from kdjax.distributed import devices
from kdjax.doctor import examine
from kdjax.experiment import schema
from kdjax.runner import run
from kdjax.runner.import_weights import import_weights
from kdjax.weights import safetensors
from tests.datasets.miniature_imagenet import tiny, write_folder
from tests.weights import numpy_resnet

CLASSES = tuple("abcdefghij")
CONFIG = """
from kdjax.experiment import schema
from ml_collections import ConfigDict

def get_config(arg=""):
    config = schema.base()
    config.update(ConfigDict({config!r}))
    return config
"""
MODEL = {"name": "tests.networks:coarse"}
KD = {"name": "kd", "alpha": 0.9, "temperature": 4.0}
KINDS = {
    "teacher": "run",
    "student": "run",
    "cache": "cache",
    "imported": "imported weights",
    "selection": "selection",
    "set.npz": "arrays",
    "sets": "prepared sets",
    "sets/mine/1.0.0": "prepared set",
    "weights.safetensors": "weights",
}


def changes(root: pathlib.Path, **more) -> dict:
    data = {"name": str(root / "set.npz"), "padding": 0, "flip": False}
    rest = {"model": MODEL, "method": {"name": "ce"}, "data": data, "batch_size": 32}
    rest |= {"total_steps": 4, "log_every_steps": 1, "tensorboard": False}
    rest |= {"evaluation": {"every_steps": 2, "batch_size": 64}}
    return rest | more


def start(root: pathlib.Path, name: str, **more) -> None:
    config = schema.base()
    config.update(ConfigDict(changes(root, **more)))
    run.run(config, root / name)


def write_set(path: pathlib.Path) -> None:
    random, splits = np.random.default_rng(0), {}
    for part, count in (("train", 128), ("test", 40)):
        image = random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
        label = np.arange(count, dtype=np.int32) % len(CLASSES)
        splits[part] = in_memory(image, label, CLASSES, name=path.name, split=part)
    npz.save_npz(path, splits)


def make(root: pathlib.Path) -> None:
    write_set(root / "set.npz")
    start(root, "teacher", seed=1)
    with_teacher = {"teacher": {"workdir": str(root / "teacher")}, "method": KD}
    start(root, "student", **with_teacher)
    start(root, "selection", select={"name": "random", "keep_ratio": 0.5})
    (root / "config.py").write_text(CONFIG.format(config=changes(root, **with_teacher)))
    flags = [f"--config={root / 'config.py'}", f"--workdir={root / 'cache'}"]
    assert cache.main(flags) == 0
    tensors = numpy_resnet.draw(11, head="fc", projection="downsample")
    tensors = {name: x.astype(np.float32) for name, x in tensors.items()}
    safetensors.write(root / "weights.safetensors", tensors, {"format": "pt"})
    images = {"image_shape": (28, 28, 1), "mean": (0.5,), "std": (0.5,)}
    file, workdir = root / "weights.safetensors", root / "imported"
    import_weights(file, workdir, model="resnet8", **images)
    splits = {
        part: {
            name: {f"{number}.JPEG": tiny(number) for number in range(first, first + 6)}
            for name, first in (("cat", 1), ("dog", 11))
        }
        for part in ("train", "val")
    }
    write_folder(root / "folder", splits)
    prepare_folder("mine", root / "folder", data_dir=root / "sets", skip_at_most=0)
    shutil.rmtree(root / "folder")


@pytest.fixture(autouse=True)
def without_machine(monkeypatch, request):
    """The machine is looked at by tests of its own."""
    if request.module.__name__.endswith("test_machine"):
        return
    monkeypatch.setattr(examine, "examine_machine", lambda paths: iter(()))


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """(where everything lies, a copy): runs name the places of what they need."""
    pytest.importorskip("safetensors")
    directory = tmp_path_factory.mktemp("doctor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "configure", lambda *_: 8)
        (directory / "root").mkdir()
        make(directory / "root")
    shutil.copytree(directory / "root", directory / "copy")
    return directory / "root", directory / "copy"


@pytest.fixture
def root(kept):
    """For a test to damage."""
    place, copy = kept
    before = listing(place)
    yield place
    after = listing(place)
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            restore(copy / name, place / name)


def listing(place: pathlib.Path) -> dict[str, set]:
    """What lies below each name, with sizes and times."""
    return {
        top.name: {
            (str(path), path.lstat().st_mtime_ns, path.lstat().st_size)
            for path in (top, *top.rglob("*"))
        }
        for top in place.iterdir()
    }


def restore(source: pathlib.Path, target: pathlib.Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy2(source, target)
