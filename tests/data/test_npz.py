"""One NumPy file as a data set: what is read, what is refused, what it is made of."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kdjax.__main__ import main
from kdjax.data.load import exact_name, load_split
from kdjax.data.npz import load_npz, save_npz
from kdjax.data.split import DataError, Split

pytestmark = pytest.mark.usefixtures("no_network")


def arrays(**changes):
    """Two splits of 30 and 8 images of 5 by 6, three classes."""
    draw = np.random.default_rng(0)
    written = {}
    for name, count in (("train", 30), ("test", 8)):
        written[f"{name}_image"] = draw.integers(0, 256, (count, 5, 6, 3), np.uint8)
        written[f"{name}_label"] = np.arange(count) % 3
    written |= changes
    return {key: value for key, value in written.items() if value is not None}


def write(path, **changes):
    written = arrays(**changes)
    np.savez_compressed(path, **written)
    return written


def test_both_splits_are_what_the_file_holds(tmp_path):
    written = write(tmp_path / "my.npz")
    for name in ("train", "test"):
        split = load_split("my.npz", name, data_dir=tmp_path)
        np.testing.assert_array_equal(split.image, written[f"{name}_image"])
        np.testing.assert_array_equal(split.label, written[f"{name}_label"])
        assert split.image.dtype == np.uint8 and split.label.dtype == np.int32
        assert split.class_names == ("0", "1", "2")
        assert split.identity | {"sha256": ""} == {
            "name": "my.npz",
            "split": name,
            "num_examples": len(written[f"{name}_label"]),
            "sha256": "",
        }
        assert exact_name("dir/my.npz", split.identity) == "dir/my.npz"


def test_where_it_lies(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    write(tmp_path / "here" / "my.npz")
    absolute = load_split(str(tmp_path / "here" / "my.npz"), "test")
    monkeypatch.chdir(tmp_path)
    relative = load_split("here/my.npz", "test")
    within = load_split("here/my.npz", "test", data_dir=tmp_path)
    assert absolute.identity == relative.identity == within.identity


def test_the_sum_is_that_of_the_contents(tmp_path):
    """Shape and names as Python writes them, labels as little-endian int32, pixels."""
    names = np.array(["apple", "bear", "can"])
    written = write(tmp_path / "a.npz", class_names=names)
    actual = load_npz(tmp_path / "a.npz", "train").identity["sha256"]
    text = "((30, 5, 6, 3), ('apple', 'bear', 'can'))"
    expected = hashlib.sha256(text.encode())
    expected.update(written["train_label"].astype("<i4").tobytes())
    expected.update(written["train_image"].tobytes())
    assert actual == expected.hexdigest()
    other = written["train_image"].copy()
    other[7, 2, 2, 1] ^= 1
    write(tmp_path / "b.npz", class_names=names, train_image=other)
    assert load_npz(tmp_path / "b.npz", "train").identity["sha256"] != actual


# The borders of TFDS: a percentage goes to the nearest sample, ties to the even one.
SLICES = (
    "train train[:10] train[10:] train[5:9] train[-4:] train[:-4] train[:25%] "
    "train[25%:] train[-10%:] train[33%:67%] train[:5%] train[:15%] test[:2]"
).split()


@pytest.mark.parametrize("spec", SLICES)
def test_slices_are_those_of_tfds(tmp_path, spec):
    written = write(tmp_path / "my.npz")
    infos = {
        name: tfds.core.SplitInfo(
            name=name, shard_lengths=[count], num_bytes=0, filename_template=None
        )
        for name, count in (("train", 30), ("test", 8))
    }
    (cut,) = tfds.core.ReadInstruction.from_spec(spec).to_absolute(infos)
    split = load_npz(tmp_path / "my.npz", spec)
    expected = written[f"{cut.splitname}_image"][cut.from_ : cut.to]
    np.testing.assert_array_equal(split.image, expected)
    assert split.identity["num_examples"] == len(split.label) == len(expected)
    assert split.identity["split"] == spec


@pytest.mark.parametrize(
    "spec, message",
    [
        ("validation", "no validation_image and validation_label in it; it has tr"),
        ("train[:31]", "31 is outside the 30 samples"),
        ("train[:101%]", "101% is outside the 30 samples"),
        ("train[4:4]", "is empty"),
        ("train[3]", r"expected the name of a split, .* such as train\[:45000\]"),
        ("train+test", "cannot be opened"),
    ],
)
def test_splits_that_are_not_there(tmp_path, spec, message):
    write(tmp_path / "my.npz")
    with pytest.raises(DataError, match=message):
        load_npz(tmp_path / "my.npz", spec)


def pickled():
    return np.array([{"a": 1}], object)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"train_image": np.zeros((30, 5, 6, 3))}, "float64 of shape .* uint8 of shap"),
        ({"train_image": np.zeros((30, 5, 6), np.uint8)}, r"uint8 of shape \(30, 5, 6"),
        ({"train_image": np.zeros((0, 5, 6, 3), np.uint8)}, "n at least 1"),
        ({"train_label": np.arange(29) % 3}, "a label for each image"),
        ({"train_label": np.zeros(30)}, "train_label is float64 .* whole numbers"),
        ({"test_label": np.zeros(8)}, "test_label is float64 .* whole numbers"),
        ({"train_label": np.arange(30) - 1}, r"my.npz: train_label\[0\] is -1"),
        (
            {"class_names": np.array(["a", "b"])},
            r"label\[2\] is 2; expected 0 to 1",
        ),
        ({"class_names": np.arange(3)}, "class_names is int64 .*; expected text"),
        ({"train_label": None}, "no train_image and train_label in it"),
        ({"class_names": pickled()}, "holds objects of Python"),
        ({"train_image": pickled()}, "holds objects of Python"),
    ],
)
def test_arrays_of_another_form(tmp_path, changes, message):
    write(tmp_path / "my.npz", **changes)
    with pytest.raises(DataError, match=message):
        load_npz(tmp_path / "my.npz", "train")


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no such file. `python -m kdjax prepare"):
        load_npz(tmp_path / "my.npz", "train")
    write(tmp_path / "whole.npz")
    content = (tmp_path / "whole.npz").read_bytes()
    single = tmp_path / "array.npy"
    np.save(single, np.zeros(3))
    for bad in (b"", b"x" * 100, content[: len(content) // 2], single.read_bytes()):
        (tmp_path / "bad.npz").write_bytes(bad)
        with pytest.raises(DataError, match="cannot be read as a file of arrays"):
            load_npz(tmp_path / "bad.npz", "train")


def test_prepare_writes_what_load_split_reads(embedded_dir, tmp_path, capsys):
    target = tmp_path / "new" / "fashion.npz"
    words = ["fashion_mnist_subset", f"--data_dir={embedded_dir}", f"--npz={target}"]
    assert main(["prepare", *words]) == 0
    assert f"wrote {target}" in capsys.readouterr().out
    for name in ("train", "test"):
        usual = load_split("fashion_mnist_subset", name, data_dir=embedded_dir)
        actual = load_npz(target, name)
        np.testing.assert_array_equal(actual.image, usual.image)
        np.testing.assert_array_equal(actual.label, usual.label)
        assert actual.class_names == usual.class_names
        assert actual.identity["sha256"] == usual.identity["sha256"]
    assert [path.name for path in target.parent.iterdir()] == ["fashion.npz"]


def test_prepare_refuses_other_names_and_other_classes(embedded_dir, tmp_path, capsys):
    words = ["fashion_mnist_subset", f"--data_dir={embedded_dir}", "--npz=x.zip"]
    assert main(["prepare", *words]) == 2
    assert "a file called NAME.npz" in capsys.readouterr().err
    one = Split(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32), ("a",), {})
    with pytest.raises(DataError, match="2 lists of classes"):
        splits = {"train": one, "test": one._replace(class_names=("b",))}
        save_npz(tmp_path / "a.npz", splits)
    assert not list(tmp_path.iterdir())


def test_reading_a_file_needs_numpy_alone(tmp_path):
    write(tmp_path / "my.npz")
    program = (
        "import sys\n"
        "from kdjax.data.load import load_split\n"
        f"assert len(load_split({str(tmp_path / 'my.npz')!r}, 'train').label) == 30\n"
        "print([n for n in ('tensorflow_datasets', 'cv2') if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def split_of(count):
    image, label = np.zeros((count, 2, 2, 3), np.uint8), np.zeros(count, np.int32)
    return Split(image, label, ("a",), {})


def test_two_that_write_at_once_do_not_meet(tmp_path, monkeypatch):
    """The second one begins and ends before the first has written anything."""
    path, inner = tmp_path / "a.npz", []
    save = np.savez_compressed

    def saving(part, **arrays):
        if not inner:
            inner.append(part)
            save_npz(path, {"train": split_of(4)})
        save(part, **arrays)
        inner.append(part)

    monkeypatch.setattr(np, "savez_compressed", saving)
    save_npz(path, {"train": split_of(6)})
    assert len(set(inner)) == 2
    assert len(load_npz(path, "train").label) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(part, **_):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        save_npz(tmp_path / "a.npz", {"train": split_of(4)})
    assert list(tmp_path.iterdir()) == []
