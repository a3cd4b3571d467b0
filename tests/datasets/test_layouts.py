"""How a folder of images may be laid out."""

import pytest

from kdjax.data.split import DataError
from kdjax.datasets.folder_builder import prepare_folder
from kdjax.datasets.folders import scan
from tests.data.jpegs import encode
from tests.datasets.miniature_imagenet import write_folder
from tests.datasets.test_own_folder import A, B, C, D, image, prepared, stored_names


def test_train_val_and_test_are_three_splits(tmp_path):
    splits = {"Train": {"a": {"0.jpg": A}, "b": {"0.jpg": B}}}
    splits |= {"val": {"a": {"0.jpg": C}}, "test": {"b": {"0.jpg": D}}}
    write_folder(tmp_path / "in", splits | {"extra": {"x": {}}})
    (tmp_path / "in/Train/lost.jpg").write_bytes(A)
    done = prepared(tmp_path)
    assert done.splits == {"train": 2, "validation": 1, "test": 1}
    assert "    extra/" in done.facts["warnings"]
    lost = f"    {tmp_path / 'in/Train/lost.jpg'}"  # of no class
    assert lost in done.facts["warnings"]
    with pytest.raises(DataError, match="--validation is 0.2, and .*has val/; expect"):
        prepared(tmp_path, validation=0.2)


def test_training_and_testing_are_splits_beside_other_folders(tmp_path):
    splits = {"training": {"a": {"0.jpg": A}}, "testing": {"a": {"0.jpg": B}}}
    write_folder(tmp_path / "in", splits | {"docs": {"x": {}}})
    assert scan(tmp_path / "in").folders == {"train": "training", "test": "testing"}
    classes = {"": {"training": {"0.jpg": A}, "match": {"0.jpg": B}}}
    write_folder(tmp_path / "sport", classes)
    assert scan(tmp_path / "sport").class_names == ["match", "training"]


def test_train_gives_a_part_where_it_is_wanted(tmp_path):
    many = {f"{i}.jpg": encode(image(i)) for i in range(10)}
    write_folder(tmp_path / "in", {"train": {"a": many, "b": {"0.jpg": B}}})
    assert prepared(tmp_path).splits == {"train": 11}
    done = prepared(tmp_path, "other", validation=0.3)
    assert done.splits == {"train": 8, "validation": 3}


def test_nested_folders_with_the_flag(tmp_path):
    write_folder(tmp_path / "in", {"": {"a": {"0.jpg": A}, "b": {"0.jpg": B}}})
    deep = tmp_path / "in/a/2024/may"
    deep.mkdir(parents=True)
    (deep / "x y.png").write_bytes(encode(image(3), kind="PNG"))
    (deep / "again").symlink_to(tmp_path / "in/a")  # a circle
    with pytest.raises(DataError, match=r"in/a/2024 is a folder in a class\n.*--nest"):
        prepared(tmp_path)
    done = prepared(tmp_path, nested=True, validation=0.0)
    assert stored_names(done, "train") == {"a/0.jpg", "a/2024/may/x y.png", "b/0.jpg"}


def test_files_are_known_by_their_content(tmp_path):
    odd = {"photo": A, "png.jpg": encode(image(5), kind="PNG"), "labels.txt": b"BMX"}
    write_folder(tmp_path / "in", {"": {"a": odd, "b": {"0.jpg": B, "1.jpg": C}}})
    done = prepared(tmp_path, validation=0.0)
    assert stored_names(done, "train") == {"a/photo", "a/png.jpg", "b/0.jpg", "b/1.jpg"}


def test_a_folder_above_the_classes(tmp_path):
    write_folder(tmp_path / "in/images", {"": {"a": {"0.jpg": A}, "b": {"0.jpg": B}}})
    with pytest.raises(DataError, match="give the folder above them"):
        prepared(tmp_path)
    with pytest.raises(DataError, match="1 class is all there is:\n    images"):
        prepared(tmp_path, nested=True)
    write_folder(tmp_path / "flat", {"": {}})
    (tmp_path / "flat").mkdir(exist_ok=True)
    (tmp_path / "flat/0.jpg").write_bytes(A)
    with pytest.raises(DataError, match="no folders of classes; it has 0.jpg. Expect"):
        scan(tmp_path / "flat")


def test_a_set_is_not_written_among_its_images(tmp_path):
    write_folder(tmp_path / "mine", {"": {"a": {"0.jpg": A}, "b": {"0.jpg": B}}})
    for name, data_dir in (("mine", tmp_path), ("other", tmp_path / "mine/data")):
        with pytest.raises(DataError, match="--data_dir: the set would be written in"):
            prepare_folder(name, tmp_path / "mine", data_dir=data_dir)
    assert {p.name for p in (tmp_path / "mine").iterdir()} == {"a", "b"}


ONE, TWO = {"0.jpg": A, "1.jpg": B}, {"0.jpg": C, "1.jpg": D}


@pytest.mark.parametrize("names", [("train", "plane"), ("Train", "test"), ("val", "x")])
def test_a_class_may_be_called_as_a_split(tmp_path, names):
    """A split holds folders of classes, and a class images."""
    write_folder(tmp_path / "in", {"": dict(zip(names, (ONE, TWO), strict=True))})
    listed = scan(tmp_path / "in")
    assert listed.class_names == sorted(names) and listed.folders == {"train": ""}
    assert len(listed.splits["train"]) == 4


def test_a_split_that_lacks_classes_is_no_class(tmp_path):
    """As of competitions, whose test images have no labels."""
    write_folder(tmp_path / "in", {"train": {"a": ONE, "b": TWO}, "": {"test": ONE}})
    with pytest.raises(DataError, match="in/test has no folders of classes"):
        scan(tmp_path / "in")
    write_folder(tmp_path / "in", {"": {"plane": TWO}})  # beside them
    assert scan(tmp_path / "in", layout="classes").class_names == ["plane", "test"]


AMBIGUOUS = {  # folders of folders, folders of images, options
    "both in train": ({"train": {"a": ONE}}, {"x": TWO, "train": TWO}, {}),
    "no classes in train": ({"val": {"a": ONE}}, {"train": TWO}, {}),
    "nested": ({"train": {"a": ONE, "b": TWO}, "x": {"c": ONE}}, {}, {"nested": True}),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_may_be_either_is_asked_for(tmp_path, case):
    above, classes, options = AMBIGUOUS[case]
    write_folder(tmp_path / "in", above)
    for name, files in classes.items():
        (tmp_path / "in" / name).mkdir(exist_ok=True)
        for file, content in files.items():
            (tmp_path / "in" / name / file).write_bytes(content)
    message = "train.* may be a split or a class.*--layout=classes.*--layout=splits"
    with pytest.raises(DataError, match=message):
        scan(tmp_path / "in", **options)
    names = {entry.name for entry in (tmp_path / "in").iterdir()}
    listed = scan(tmp_path / "in", nested=True, layout="classes")
    assert set(listed.class_names) == names


def test_layouts_are_words(tmp_path):
    write_folder(tmp_path / "in", {"train": {"a": ONE, "b": TWO}})
    assert scan(tmp_path / "in", layout="splits").folders == {"train": "train"}
    with pytest.raises(
        DataError, match="--layout is 'split'; expected auto or classes"
    ):
        scan(tmp_path / "in", layout="split")
