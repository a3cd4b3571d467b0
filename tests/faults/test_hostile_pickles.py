"""Pickles in weights, arrays and labels that a stranger sends: none runs."""

import io
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.data.load import load_split
from kdjax.data.noise import NOISES
from kdjax.data.split import DataError
from kdjax.weights import imported
from tests.datasets.test_pickles import Malicious


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
