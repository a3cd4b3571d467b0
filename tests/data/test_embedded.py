import hashlib
import importlib.resources
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from kdjax.data import embedded
from kdjax.data.load import load_split
from kdjax.data.split import DataError
from kdjax.datasets import make_embedded
from tests.datasets import miniatures

FILES = importlib.resources.files("kdjax.data.embedded")


def test_counts_balance_and_pixels():
    splits = embedded.read()
    for split, per_class in (("train", 1000), ("test", 200)):
        image, label = splits[split]
        assert image.shape == (10 * per_class, 28, 28, 1) and image.dtype == np.uint8
        assert np.bincount(label).tolist() == [per_class] * 10
    # What is published of Fashion-MNIST: its mean 0.2860 and spread 0.3530.
    pixels = splits["train"][0] / 255
    assert abs(pixels.mean() - 0.2860) < 0.004 and abs(pixels.std() - 0.3530) < 0.003
    # The official training split begins with these labels.
    assert splits["train"][1][:8].tolist() == [9, 0, 0, 3, 0, 2, 7, 2]
    assert splits["test"][1][:8].tolist() == [9, 2, 1, 1, 6, 1, 4, 6]


def test_file_is_the_one_its_readme_describes():
    readme = FILES.joinpath("README.md").read_text()
    packed = FILES.joinpath(embedded.FILE_NAME).read_bytes()
    assert len(packed) < 5_000_000
    assert f"{len(packed):,} bytes" in readme
    sums = re.findall(r"`([0-9a-f]{64})`", readme)
    assert sums == [hashlib.sha256(packed).hexdigest(), embedded.CONTENT_SHA256]


def test_licence_lies_beside():
    text = FILES.joinpath("LICENSE-fashion-mnist.txt").read_text()
    assert "Copyright (c) 2017 Zalando SE, https://tech.zalando.com" in text
    assert "WITHOUT WARRANTY OF ANY KIND" in text


def test_damaged_installation_is_noticed(monkeypatch):
    monkeypatch.setattr(embedded, "CONTENT_SHA256", "0" * 64)
    embedded.read.cache_clear()
    with pytest.raises(DataError, match="Reinstall kdjax"):
        embedded.read()


def test_what_all_share_cannot_be_written():
    for image, label in embedded.read().values():
        assert not image.flags.writeable and not label.flags.writeable


def test_make_takes_the_first_of_each_class_in_order(tmp_path, monkeypatch):
    written = miniatures.fashion_mnist(tmp_path, classes=2)  # labels 0 1 0 1 ...
    monkeypatch.setattr(embedded, "CLASS_NAMES", ("even", "odd"))
    monkeypatch.setattr(embedded, "PER_CLASS", {"train": 2, "test": 1})
    content = make_embedded.make(tmp_path)
    assert content == make_embedded.make(tmp_path)
    actual = embedded.unpack(content)
    for split, count in (("train", 4), ("test", 2)):
        image, label = written[split]
        np.testing.assert_array_equal(actual[split][0], image[:count])
        np.testing.assert_array_equal(actual[split][1], label[:count])


def test_loaded_set_holds_the_same_samples():
    for split, (image, label) in embedded.read().items():
        loaded = load_split("fashion_mnist_subset", split)
        assert loaded.class_names == embedded.CLASS_NAMES

        def lines(images, labels):
            pairs = zip(images, labels, strict=True)
            return sorted(bytes([label]) + pixels.tobytes() for pixels, label in pairs)

        assert lines(loaded.image, loaded.label) == lines(image, label)


def test_needs_neither_tensorflow_nor_pillow(tmp_path):
    program = (
        "import importlib.machinery, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('tensorflow', 'PIL'):\n"
        "            return importlib.machinery.ModuleSpec(name, self)\n"
        "    def create_module(self, spec):\n"
        "        raise ImportError(spec.name)\n"
        "    def exec_module(self, module):\n"
        "        pass\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from kdjax.data.load import load_split\n"
        f"data_dir = {str(tmp_path)!r}\n"
        "split = load_split('fashion_mnist_subset', 'test', data_dir=data_dir)\n"
        "assert split.image.shape == (2000, 28, 28, 1)\n"
    )
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""  # TFDS's banners stay away
    assert os.listdir(tmp_path) == []
