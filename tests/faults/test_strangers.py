"""What a stranger sends does not run, writes nowhere else, and is refused in words."""

import gzip
import io
import json
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.data.load import load_split
from kdjax.data.noise import NOISES
from kdjax.data.split import DataError
from kdjax.data.tfds import find
from kdjax.datasets.archives import cifar, fashion_mnist, reading, tiny_imagenet
from kdjax.experiment import builders
from kdjax.weights import imported, safetensors
from tests.datasets import miniatures
from tests.datasets.test_pickles import Malicious
from tests.weights import numpy_resnet

pytestmark = pytest.mark.usefixtures("as_they_are")

# A module whose import alone is code that runs.
PAYLOAD = """
import pathlib
import tests.networks

pathlib.Path({marker!r}).touch()

def network(num_classes=10, **_):
    return tests.networks.coarse(num_classes)
"""
CONFIG = """
from tests.experiment import configs

def get_config(arg=""):
    config = configs.teacher({data_dir!r})
    config.data.mean, config.data.std = (0.5,), (0.5,)
    config.method = configs.ConfigDict(configs.METHODS["kd"])
    config.total_steps = 1
    return config
"""
NAME = "payload:network"


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """What exists as soon as the payload has run."""
    path = tmp_path / "ran"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "payload.py").write_text(PAYLOAD.format(marker=str(path)))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "payload", raising=False)
    yield path
    sys.modules.pop("payload", None)


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    """A workdir with sound weights."""
    pytest.importorskip("safetensors")
    root = tmp_path_factory.mktemp("received")
    tensors = numpy_resnet.draw(1, head="fc", projection="downsample")
    safetensors.write(root / "x.safetensors", tensors, {"format": "pt"})
    words = ["--model=resnet8", "--image_shape=28,28,1", "--mean=0.5", "--std=0.5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
        file = str(root / "x.safetensors")
        assert main(["import", file, f"--workdir={root / 'w'}", *words]) == 0
    return root / "w"


@pytest.fixture
def malicious(received, marker, tmp_path, data_dir):
    """The workdir, which names the payload: as its model, and as its teacher."""
    workdir = shutil.copytree(received, tmp_path / "w")
    (file,) = workdir.glob("checkpoints/0/meta/metadata")
    meta = json.loads(file.read_text())
    meta["students"]["resnet8"]["model"] = {"name": NAME}
    meta["teacher"] = {"network": NAME, "workdir": "", "student": "", "digest": "x"}
    meta["teacher"]["asked"] = {"allow_code": [NAME], "input_size": [28, 28]}
    meta["allow_code"] = [NAME]
    file.write_text(json.dumps(meta))
    (tmp_path / "conf.py").write_text(CONFIG.format(data_dir=str(data_dir)))
    split = {"name": "fashion_mnist_subset", "split": "test[:40]"}
    config = {"data": {"name": split["name"], "data_dir": str(data_dir)}}
    config |= {"allow_code": [NAME]}
    (workdir / "config.json").write_text(json.dumps(config))
    return workdir


COMMANDS = {
    "evaluate": "evaluate --workdir={w} --data=fashion_mnist_subset "
    "--split=test[:40] --data_dir={data}",
    "export": "export {w} --format=safetensors --output={root}/out.safetensors",
    "train": "train {run} --config.teacher.workdir={w}",
    "members": "train {run} --config.teacher.workdir={w},{w}",
    "initial": "train {run} --config.initial.workdir={w} --config.method.name=ce",
    "reference": "train {run} --config.teacher.workdir={sound} --config.selection="
    "{{'name':'influence','reference':'{w}'}}",
    "sweep": "sweep {run} --config.teacher.workdir={w} --grid.seed=0,1",
    "cache": "cache {run} --config.teacher.workdir={w}",
    "select": "select {run} --config.select="
    "{{'name':'influence','reference':'{w}','estimator':'parameter_change'}}",
    "compile": "compile --config={root}/conf.py --config.teacher.workdir={w}",
}


def words(name, workdir, sound, root, data_dir):
    run = f"--config={root}/conf.py --workdir={root}/run"
    values = {"w": workdir, "sound": sound, "root": root, "data": data_dir, "run": run}
    return COMMANDS[name].format(**values).split()


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_calls_what_a_workdir_names(
    name, malicious, received, marker, tmp_path, data_dir, capsys
):
    assert main(words(name, malicious, received, tmp_path, data_dir)) == 2
    assert not marker.exists() and "payload" not in sys.modules
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"meta: model.name is '{NAME}', a function" in error or (
        name == "evaluate" and f"resnet8.model.name is '{NAME}'" in error
    )
    assert (
        f"--allow_code={NAME}" in error and f"config.allow_code = ('{NAME}',)" in error
    )
    assert str(malicious / "checkpoints" / "0" / "meta") in error


@pytest.mark.parametrize("name", ("export", "train"))
def test_the_flag_allows_it(
    name, malicious, received, marker, tmp_path, data_dir, capsys
):
    """And so the payload is one: what is refused above would have run."""
    given = words(name, malicious, received, tmp_path, data_dir)
    assert main([*given, f"--allow_code=other:one,{NAME}"]) == 2
    assert marker.exists()
    assert "weights are not those of the network" in capsys.readouterr().err


def test_a_config_that_names_it_allows_it(malicious, marker):
    config = {"teacher": {"network": ""}, "allow_code": (f"a:b, {NAME}",)}
    with builders.allow_code(*builders.code_of(config)):
        builders.check_code("x", NAME)
    stages = {"stages": {"one": {"model": {"name": NAME}}}}
    assert builders.code_of(stages) == [NAME]
    with pytest.raises(InputError, match="called only where you name it too"):
        builders.check_code("x", NAME)


def test_the_teacher_of_a_run_is_not_called_either(malicious, marker, data_dir, capsys):
    """Its model is built in, and its teacher is not: evaluate goes on without."""
    (file,) = malicious.glob("checkpoints/0/meta/metadata")
    meta = json.loads(file.read_text())
    meta["students"]["resnet8"]["model"] = {"name": "resnet8"}
    file.write_text(json.dumps(meta))
    words = [f"--workdir={malicious}", "--data=fashion_mnist_subset"]
    words += ["--split=test[:40]", f"--data_dir={data_dir}"]
    assert main(["evaluate", *words]) == 0
    assert f"config.teacher.network.name is '{NAME}'" in capsys.readouterr().err
    assert not marker.exists()
    words = ["analyse", str(malicious), f"--output={malicious / 'a'}"]
    meta["data"] |= {"train": {"name": "fashion_mnist_subset", "split": "train[:40]"}}
    file.write_text(json.dumps(meta))
    assert main(words) == 2
    assert f"config.teacher.network.name is '{NAME}'" in capsys.readouterr().err
    assert not marker.exists()


def test_a_lock_that_is_a_link_empties_nothing(tmp_path, data_dir, capsys):
    (tmp_path / "conf.py").write_text(CONFIG.format(data_dir=str(data_dir)))
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "run").mkdir()
    for target in ("precious", "absent"):
        (tmp_path / "run" / ".lock").symlink_to(tmp_path / target)
        run = [f"--config={tmp_path / 'conf.py'}", f"--workdir={tmp_path / 'run'}"]
        assert main(["train", *run]) == 2
        assert ".lock is a symbolic link" in capsys.readouterr().err
        (tmp_path / "run" / ".lock").unlink()
    assert (tmp_path / "precious").read_text() == "kept"
    assert not (tmp_path / "absent").exists()


FEATURES = {
    "newest": {"pythonClassName": "payload.Image", "tensor": {}},
    "within": {
        "pythonClassName": f"{find.OWN}core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": {"image": {"pythonClassName": "payload.Image"}}},
    },
    "older": {"type": "payload.Image", "content": {}},
    "json": {"jsonFeature": {"json": json.dumps({"type": "payload.Image"})}},
}


@pytest.mark.parametrize("kind", FEATURES)
def test_a_set_names_features_of_tfds_alone(kind, marker, tmp_path, monkeypatch):
    directory = tmp_path / "wild" / "1.0.0"
    directory.mkdir(parents=True)
    info = {"name": "wild", "version": "1.0.0", "fileFormat": "array_record"}
    (directory / "dataset_info.json").write_text(json.dumps(info))
    (directory / "features.json").write_text(json.dumps(FEATURES[kind]))
    with pytest.raises(DataError, match="feature 'payload.Image', which TFDS would"):
        find.open_builder(directory)
    assert not marker.exists()
    monkeypatch.setattr(find, "check_features", lambda _: None)
    with pytest.raises(DataError, match="cannot be read"):
        find.open_builder(directory)
    assert marker.exists() or kind == "json"  # what TFDS does with it


def objects(payload):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.array([payload], object), allow_pickle=True)
    return content.getvalue()


def test_arrays_of_objects_are_not_unpickled(tmp_path, marker):
    payload = objects(Malicious(os.mkdir, str(marker)))
    np.load(io.BytesIO(payload), allow_pickle=True)
    assert marker.exists()  # the payload does work
    marker.rmdir()
    file = tmp_path / "set.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("train_image", "train_label", "keep", "noisy", "selection"):
            archive.writestr(f"{name}.npy", payload)
    (tmp_path / "x.npy").write_bytes(payload)
    loads = (
        lambda: load_split(file.name, "train", data_dir=tmp_path),
        lambda: load_keep(str(file)),
        lambda: NOISES["file"](np.zeros(3, int), 2, path=str(tmp_path / "x.npy")),
    )
    for load in loads:
        with pytest.raises((InputError, DataError, ValueError)) as error:
            load()
        assert len(str(error.value).splitlines()) == 1
        assert not marker.exists()


def load_keep(path):
    from kdjax.experiment import data

    return data.load_keep(path, "config.data.keep")


PICKLES = {
    "system": Malicious(os.system, "mkdir {}"),
    "eval": Malicious(eval, "__import__('os').mkdir('{}')"),
    "exec": Malicious(exec, "import os; os.mkdir('{}')"),
    "open": Malicious(os.mkdir, "{}"),
    "run": Malicious(subprocess.getoutput, "mkdir {}"),
    "copy": Malicious(shutil.copytree, os.path.dirname(__file__), "{}"),
    "module": Malicious(__import__, "payload"),
    "runpy": Malicious(runpy.run_module, "payload"),
}


def aimed(payload, marker):
    function, arguments = payload.call
    return Malicious(function, *(text.format(marker) for text in arguments))


@pytest.mark.parity
@pytest.mark.parametrize("where", ("top", "weights", "beside", "old format"))
@pytest.mark.parametrize("name", PICKLES)
def test_no_pickle_runs(name, where, tmp_path, marker):
    import torch

    payload = aimed(PICKLES[name], marker)
    pickle.loads(pickle.dumps(payload))
    assert marker.exists() or name == "module" or "payload" in sys.modules
    if marker.is_dir():
        shutil.rmtree(marker)
    marker.unlink(missing_ok=True)
    sys.modules.pop("payload", None)
    weights = {"fc.weight": torch.ones(10, 4)}
    saved = {
        "top": payload,
        "weights": {"state_dict": weights | {"x": payload}},
        "beside": {"state_dict": weights, "args": [payload]},
        "old format": {"model": weights, "epoch": payload},
    }[where]
    file = tmp_path / "x.pth"
    torch.save(saved, file, _use_new_zipfile_serialization=where != "old format")
    with pytest.raises(
        InputError, match="does not load this as weights alone"
    ) as error:
        imported.read(file)
    assert not marker.exists() and "payload" not in sys.modules
    text = str(error.value)
    assert "weights_only" not in text and len(text.splitlines()) == 1


def hostile(path):
    """Adds to an archive what would leave its directory, were it unpacked."""
    with tarfile.open(path) as archive:
        members = [(m, archive.extractfile(m)) for m in archive if m.isfile()]
        members = [(m, file.read()) for m, file in members]
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../escaped", "/tmp/kdjax-escaped", "a/../../escaped"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
        for number, kind in enumerate(kinds):
            member = tarfile.TarInfo(f"x/{number}/data_batch_1.bin")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))


def test_an_archive_leads_nowhere_else(tmp_path):
    path = tmp_path / "a" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    miniatures.cifar(path, 10)
    expected = cifar.read(path)
    hostile(path)
    actual = cifar.read(path)
    np.testing.assert_array_equal(actual.image["train"], expected.image["train"])
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", path.name]


def test_what_a_few_bytes_unpack_to_is_bounded(tmp_path, monkeypatch):
    many, most = bytes(1 << 22), 1 << 20
    monkeypatch.setattr(cifar, "MOST", most)
    monkeypatch.setattr(fashion_mnist, "MOST", most)
    monkeypatch.setattr(tiny_imagenet, "MOST", most)
    path = tmp_path / "cifar-10-binary.tar.gz"
    for name in ("data_batch_1.bin", "other"):
        miniatures.tar_gz(path, {name: many})
        with pytest.raises(DataError, match="unpacks to more than 1,048,576 bytes"):
            cifar.read(path)
    miniatures.fashion_mnist(tmp_path)
    idx = tmp_path / "train-images-idx3-ubyte.gz"
    idx.write_bytes(gzip.compress(many))
    with pytest.raises(DataError, match="unpacks to more than"):
        fashion_mnist.read_split(tmp_path, "train")
    path = tmp_path / tiny_imagenet.FILE_NAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", many)
    with pytest.raises(DataError, match="wnids.txt unpacks to 4,194,304 bytes"):
        tiny_imagenet.class_names(path)


def test_a_file_without_bytes_has_no_size(tmp_path):
    """A sparse member of 8 GB that takes a header."""
    header = bytearray(tarfile.TarInfo("data_batch_1.bin").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[483:495] = b"%011o\0" % (8 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "x.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(bytes(header) + bytes(1024))
    assert not list(reading.tar_members(path, lambda _: True, 1 << 20))


def test_names_in_a_class_file_are_not_obeyed(received, tmp_path, capsys):
    names = [f"\x1b[31mclass {number}" for number in range(9)]
    (tmp_path / "names.txt").write_text("\n".join([*names, names[0]]))
    file = str(received.parent / "x.safetensors")
    words = ["--model=resnet8", "--image_shape=28,28,1", "--mean=0.5", "--std=0.5"]
    words += [f"--classes={tmp_path / 'names.txt'}", f"--workdir={tmp_path / 'w'}"]
    assert main(["import", file, *words]) == 2
    error = capsys.readouterr().err
    assert "twice" in error and "\x1b" not in error and len(error.splitlines()) == 1


def test_deep_json_in_weights_is_a_sentence(tmp_path):
    pytest.importorskip("safetensors")
    tensors = {"fc.weight": np.zeros((10, 4), np.float32)}
    for text in ("[" * 100_000, '{"a":' * 50_000, "1" * 10_000, "null", '{"model": 3}'):
        file = tmp_path / "x.safetensors"
        safetensors.write(file, tensors, {"kdjax": text})
        if "model" in text:
            assert imported.origin(file) == {"model": 3}
            continue
        with pytest.raises(InputError, match="expected the JSON object that"):
            imported.origin(file)
