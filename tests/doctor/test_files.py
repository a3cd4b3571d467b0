"""Faults of caches, selections, data sets and weights: each has its own sentence."""

import shutil

import numpy as np
import pytest

from tests.doctor.conftest import CLASSES
from tests.doctor.planting import (
    check_fault,
    cut,
    edit,
    edit_arrays,
    edit_weights,
    flip,
    foreign_class,
    one_class,
    other_selection,
    other_teacher,
    shard,
)

EPOCH = "cache/00000"
# What is planted -> how, where it is looked for, what is said.
FAULTS = {
    "cache: a bit": (
        lambda root: flip(root / EPOCH / "logits.npy"),
        *("cache", "00000: .*logits.npy differs from its checksum"),
    ),
    "cache: an epoch cut": (
        lambda root: cut(root / EPOCH / "logits.npy"),
        *("cache", r"00000: logits.npy has \d+ bytes; expected \d+"),
    ),
    "cache: an epoch gone": (
        lambda root: shutil.rmtree(root / "cache/00000"),
        *("cache", "lacks 1 of 1 epochs, first 0"),
    ),
    "cache: manifest cut": (
        lambda root: cut(root / "cache/manifest.json"),
        *("cache", "manifest.json: .* is damaged"),
    ),
    "cache: other teacher": (other_teacher, "cache", "its teacher, .* has other weig"),
    "selection: other counts": (
        other_selection,
        *("selection", "does not describe selection.npz: in both, kept is 3 and 64"),
    ),
    "selection: cut": (
        lambda root: cut(root / "selection/selection.npz"),
        *("selection", "selection.npz is not what `python -m kdjax select` wrote"),
    ),
    "imported: other weights": (
        lambda root: edit(
            root / "imported/imported.json", lambda r: r["imported"].update(digest="1")
        ),
        *("imported", "is of other weights than the checkpoint: imported.digest"),
    ),
    "set: a shard gone": (
        lambda root: shard(root).unlink(),
        *("sets", "1.0.0 train: lacks 1 of its files"),
    ),
    "set: a shard cut": (
        lambda root: cut(shard(root)),
        *("sets/mine/1.0.0", r"1.0.0 train: .* cannot be read .*the record is empty"),
    ),
    "set: a shard flipped": (
        lambda root: flip(shard(root), 200),
        *("sets/mine/1.0.0", r"1.0.0 train: .* cannot be"),
    ),
    "set: description cut": (
        lambda root: cut(root / "sets/mine/1.0.0/dataset_info.json"),
        *("sets/mine/1.0.0", "the description of a set is damaged"),
    ),
    "set: a class less": (one_class, "sets/mine/1.0.0", r"label\[\d+\] is 1; expected"),
    "set: code in its description": (
        foreign_class,
        *(
            "sets",
            "features.json names the class 'os.path.Join', whose module would be",
        ),
    ),
    "npz: a label out of range": (
        lambda root: edit_arrays(root, test_label=lambda x: x + 2),
        *("set.npz", r"set.npz test: .*test_label\[8\] is 10; expected 0 to 9"),
    ),
    "npz: a bit": (
        lambda root: flip(root / "set.npz"),
        *("set.npz", "set.npz train: .*cannot be read as a file of arrays"),
    ),
    "npz: black images": (
        lambda root: edit_arrays(root, train_image=np.zeros_like),
        *("set.npz", "set.npz train: all pixels are the same"),
    ),
    "npz: a class twice": (
        lambda root: edit_arrays(
            root, class_names=lambda names: np.array(["b", *CLASSES[1:]])
        ),
        *("set.npz", "has the class 'b' twice"),
    ),
    "weights: NaN": (
        lambda root: edit_weights(root, "fc.weight", np.nan),
        *("weights.safetensors", "1 tensors hold NaN or infinity, first fc.weight"),
    ),
    "weights: a variance below 0": (
        lambda root: edit_weights(root, "bn1.running_var", -1),
        *("weights.safetensors", "1 variances are below 0, first bn1.running_var"),
    ),
    "weights: a pointer": (
        lambda root: (root / "weights.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\n"
        ),
        *("weights.safetensors", "these are no weights: it is a pointer of git-lfs"),
    ),
    "weights: a page": (
        lambda root: (root / "weights.safetensors").write_text("<!DOCTYPE html>"),
        *("weights.safetensors", "these are no weights: it is a web page"),
    ),
    "weights: cut": (
        lambda root: cut(root / "weights.safetensors"),
        *("weights.safetensors", "cut short: .* -> Fetch or export the file anew"),
    ),
    "nothing there": (lambda root: None, "gone", "there is no such file or directory"),
    "something else": (
        lambda root: (root / "gone").write_text("?"),
        *("gone", "is nothing that kdjax writes -> Expected the --workdir of"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_has_its_own_sentence(root, name):
    check_fault(root, *FAULTS[name])
