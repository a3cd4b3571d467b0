"""What is wrong with a folder of images, in one report."""

import pytest
from PIL import Image

from kdjax.contracts import InputError
from kdjax.data.split import DataError
from kdjax.datasets.summary import summary
from tests.data.jpegs import encode, picture
from tests.datasets.miniature_imagenet import write_folder
from tests.datasets.test_own_folder import A, B, C, D, image, prepared


def test_all_problems_are_in_one_report(tmp_path):
    damaged = {f"{i}.jpg": A[:200] for i in range(7)}
    classes = {
        "a": {"good.jpg": A} | damaged,
        "empty": {"notes.txt": b"x"},
        "b ": {"0.jpg": B},
    }
    write_folder(tmp_path / "in", {"train": classes, "val": {"c": {"0.jpg": C}}})
    (tmp_path / "in/train/a/more").mkdir()
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, skip_at_most=0)
    text = str(refused.value)
    where = tmp_path / "in"
    assert text.splitlines()[0] == f"{where}: nothing is written."
    for part in (
        "7 images cannot be read:",
        f"    {where}/train/a/0.jpg (",
        "    and 2 more",
        f"    {where}/train/a/more is a folder in a class",
        f"    {where}/train/empty has no images; it has notes.txt",
        "    'train/b '",
        "    val/c",
        f"    {where}/train/empty/notes.txt",
    ):
        assert part in text.splitlines() or any(
            line.startswith(part) and part.endswith("(") for line in text.splitlines()
        ), part
    assert not (tmp_path / "data").exists()


def test_copies_and_small_images_are_told(tmp_path):
    large = {f"{i}.jpg": encode(picture(240, 260, i)) for i in range(4)}
    classes = {"a": large, "b": {"copy.jpg": large["0.jpg"], "1.jpg": C}}
    splits = {
        "train": classes,
        "val": {"a": {"x.jpg": large["1.jpg"]}, "b": {"y.jpg": D}},
    }
    write_folder(tmp_path / "in", splits)
    warnings = "\n".join(prepared(tmp_path).facts["warnings"])
    assert "1 images are in train and again in a split that measures:\n" in warnings
    assert "    train, a/1.jpg and validation, a/x.jpg\n" in warnings
    assert (
        "1 images are in two classes:\n    train, a/0.jpg and train, b/copy.jpg"
        in warnings
    )
    assert "2 images are much smaller than what a network" in warnings
    assert "    train, b/1.jpg: short side 32" in warnings


def test_images_that_exif_turns_are_refused_where_that_is_wanted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    turned = {"0.jpg": encode(image(7), exif=exif), "1.jpg": A}
    write_folder(tmp_path / "in", {"": {"a": turned, "b": {"0.jpg": B, "1.jpg": C}}})
    with pytest.raises(DataError, match=r"a/0.jpg \(turned by its EXIF orientation 8"):
        prepared(tmp_path, exif="refuse", skip_at_most=0)
    done = prepared(tmp_path, exif="refuse")
    assert list(done.skipped) == [str(tmp_path / "in/a/0.jpg")]
    assert not any("upright" in line for line in summary(done))
    (line,) = [x for x in summary(prepared(tmp_path, "other")) if "upright" in x]
    assert line == "  exif      1 images turned upright (--exif=refuse takes none)"
    with pytest.raises(InputError, match="--exif is 'ignore'; expected apply or ref"):
        prepared(tmp_path, exif="ignore")
