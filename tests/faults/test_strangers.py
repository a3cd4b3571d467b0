"""What a stranger sends does not run, writes nowhere else, and is refused in words."""

import copy
import json
import shutil
import sys

import numpy as np
import pytest

from kdjax.__main__ import main
from kdjax.caching import manifest
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError
from kdjax.data.split import DataError
from kdjax.data.tfds import find
from kdjax.data.tfds.feature_classes import OWN
from kdjax.experiment import build, builders, schema
from kdjax.experiment.overrides import load_config
from kdjax.paths.json_files import CHECKSUM
from kdjax.sweeps.trials import read_trials
from kdjax.weights import imported, safetensors
from tests.weights import numpy_resnet

pytestmark = pytest.mark.usefixtures("as_they_are")

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


def unsealed(meta: dict) -> dict:
    """Without the checksum that says that nobody has changed it."""
    return {key: value for key, value in meta.items() if key != CHECKSUM}


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
    file.write_text(json.dumps(unsealed(meta)))
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
    if name == "initial":  # takes the arrays; builds no network of another's
        return
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
    file.write_text(json.dumps(unsealed(meta)))
    words = [f"--workdir={malicious}", "--split=test[:40]", f"--data_dir={data_dir}"]
    assert main(["evaluate", *words, "--data=fashion_mnist_subset"]) == 0
    assert f"config.teacher.network.name is '{NAME}'" in capsys.readouterr().err
    assert not marker.exists()
    words = ["analyse", str(malicious), f"--output={malicious / 'a'}"]
    own = {"name": "fashion_mnist_subset", "split": "train[:40]"}
    meta["data"] |= {"train": own, "test": own}
    file.write_text(json.dumps(meta))
    assert main(words) == 2
    assert f"config.teacher.network.name is '{NAME}'" in capsys.readouterr().err
    assert not marker.exists()


LINES = {
    "model": {"model": {"name": NAME, "cmd": "x"}},
    "dotted": {"model.name": NAME},
    "optimizer": {"optimizer.name": NAME},
    "teacher": {"teacher.network": NAME},
    "student": {"students": {"one": {"model": {"name": NAME}}}},
    "stage": {"stages": {"one": {"model": {"name": NAME}}}, "order": ["one"]},
    "allowed": {"seed": 1, "allow_code": [f"os:getcwd,{NAME}"]},
    "allowed_in_a_stage": {"stages": {"one": {"allow_code": [NAME]}}},
}


@pytest.mark.parametrize("kind", LINES)
def test_a_line_of_a_trials_file_names_no_code(kind, marker, tmp_path):
    path = tmp_path / "trials.jsonl"
    path.write_text(json.dumps(LINES[kind]))
    with pytest.raises(InputError, match="line 1 of .*, a function"):
        read_trials(schema.base(), path)
    assert not marker.exists() and "payload" not in sys.modules


def test_a_trials_file_names_what_its_config_names(marker, tmp_path):
    path, base = tmp_path / "trials.jsonl", schema.base()
    path.write_text(json.dumps({"model.name": NAME, "allow_code": []}))
    base.allow_code = (f"a:b, {NAME}",)
    (trial,) = read_trials(base, path)
    assert trial.config.model.name == NAME and not marker.exists()


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
        "pythonClassName": OWN + "core.features.features_dict.FeaturesDict",
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
    with pytest.raises(DataError, match="'payload.Image', whose module would be"):
        find.open_builder(directory)
    assert not marker.exists()
    monkeypatch.setattr(find, "check_classes", lambda _: None)
    with pytest.raises(DataError, match="cannot be read"):
        find.open_builder(directory)
    assert marker.exists() or kind == "json"  # what TFDS does with it


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


MANIFESTS = {
    "teacher": {"made_by": {"teacher": {"network": NAME, "allow_code": [NAME]}}},
    "model": {"model": {"name": NAME}, "allow_code": [NAME], "dtype": "float16"},
    "data": {"data": {"name": NAME, "pythonClassName": "payload.Image"}},
    "preprocessing": {"preprocessing": {"name": NAME}},
    "features": {"features": {NAME: [1], "payload.Image": [1]}},
    "dtype": {"dtype": "payload.network"},
    "objects": {"dtype": "O"},
    "format": {"format": NAME},
}


@pytest.fixture(scope="module")
def cached(received, data_dir):
    """A cache of one epoch, and the config of a run that reads it."""
    root = received.parent
    (root / "conf.py").write_text(CONFIG.format(data_dir=str(data_dir)))
    words = [f"--config={root / 'conf.py'}", f"--config.teacher.workdir={received}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
        assert main(["cache", *words, f"--workdir={root / 'cache'}"]) == 0
    overrides = [f"teacher.workdir={received}", f"teacher.cache={root / 'cache'}"]
    return root / "cache", load_config(str(root / "conf.py"), overrides)


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_cache_names_nothing_that_is_imported(kind, cached, marker, tmp_path):
    directory, config = cached
    (tmp_path / "c").mkdir()
    record = json.loads((directory / manifest.MANIFEST).read_text())
    record = unsealed(record) | MANIFESTS[kind]
    (tmp_path / "c" / manifest.MANIFEST).write_text(json.dumps(record))
    shutil.copytree(directory / "00000", tmp_path / "c" / "00000")
    config = copy.deepcopy(config)
    config.teacher.cache = str(tmp_path / "c")
    if kind in ("teacher", "model"):  # nobody looks at these
        open_and_check(config)
    else:
        messages = {"dtype": "dtype is 'payload", "objects": "dtype is 'O'; expected"}
        message = messages.get(kind, "c is of another run|cannot be used|is damaged")
        with pytest.raises((InputError, StorageError), match=message):
            open_and_check(config)
    assert not marker.exists() and "payload" not in sys.modules


def open_and_check(config):
    build.build(config).cache.check(0)
