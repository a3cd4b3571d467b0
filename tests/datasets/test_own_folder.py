"""A folder of one's own: no split, mixed formats, unequal classes, all problems."""

import json
import os
import re
import shutil

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.data.images.decode import Unreadable
from kdjax.data.load import load_split
from kdjax.data.recorded import FILE, recorded
from kdjax.data.split import DataError
from kdjax.datasets import folder_builder
from kdjax.datasets.convert_images import convert_images
from kdjax.datasets.folder_builder import prepare_folder
from kdjax.datasets.image_formats import Pixels
from kdjax.datasets.own_set import commands, config_text, data_section
from kdjax.datasets.summary import summary
from kdjax.experiment.data import load_data, streams_by_itself
from kdjax.experiment.overrides import load_config
from kdjax.experiment.schema import nested
from tests.data.jpegs import decoded, encode, picture
from tests.datasets.miniature_imagenet import write_folder

COUNTS = {"cat": 23, "dog": 9, "owl": 2, "yak": 1}
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SIDE = 32


def image(number, side=SIDE):
    """Noise below 200 + number levels, so that each has other moments."""
    noise = np.random.default_rng(number).integers(0, 200, (side, side, 3))
    return (noise + number % 50).astype(np.uint8)


def write(root, counts=COUNTS, side=SIDE):
    """CLASS/N.SUFFIX in all formats by turns; names without an order."""
    number = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for _ in range(count):
            kind = FORMATS[number % len(FORMATS)]
            mode = "P" if kind == "GIF" else "RGB"
            content = encode(image(number, side), mode, kind)
            (root / name / f"{number * 7 % 41}.{kind.lower()}").write_bytes(content)
            number += 1


A = encode(image(1))
B, C, D = (encode(image(n)) for n in (2, 3, 4))


def prepared(tmp_path, name="mine", **options):
    return prepare_folder(name, tmp_path / "in", data_dir=tmp_path / "data", **options)


def stored_names(done, split):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(done.directory)
    skip = {"image": tfds.decode.SkipDecoding()}
    rows = builder.as_data_source(split, decoders=skip)
    return {row["file_name"].decode() for row in rows}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """(where, the set) of COUNTS."""
    root = tmp_path_factory.mktemp("own")
    write(root / "in")
    return root, prepared(root)


def test_each_class_gives_a_fifth(own):
    root, done = own
    assert done.splits == {"train": 27, "validation": 8}
    names = {split: stored_names(done, split) for split in done.splits}
    assert not names["train"] & names["validation"]
    all_files = {str(p.relative_to(root / "in")) for p in (root / "in").glob("*/*")}
    assert names["train"] | names["validation"] == all_files
    count = {name: 0 for name in COUNTS}
    for name in names["validation"]:
        count[name.split("/")[0]] += 1
    assert count == {"cat": 5, "dog": 2, "owl": 1, "yak": 0}
    assert done.facts["warnings"] == [
        "1 classes have no image to validate with:",
        "    validation: yak",
        "  Their accuracy will not be measured; add images.",
    ]


def test_mean_and_deviation_are_those_of_the_training_images(own):
    root, done = own
    train = load_split("mine", "train", data_dir=root / "data").image
    names = stored_names(done, "train")
    pixels = np.stack(
        [decoded((root / "in" / name).read_bytes()) / 255 for name in sorted(names)]
    )
    assert len(pixels) == len(train) == done.facts["measured"] == 27
    training = done.facts["training"]
    np.testing.assert_allclose(training["mean"], pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(training["std"], pixels.std((0, 1, 2)), rtol=1e-12)
    assert training | {"mean": 0, "std": 0} == {
        "mean": 0, "std": 0, "feed": "resident", "padding": 4, "flip": True
    }  # fmt: skip


def test_training_needs_the_name_alone(own):
    """Moments, crop and flip are those that are recorded; a config goes before."""
    root, done = own
    section = nested()["data"] | {
        "name": "mine", "test": "validation", "data_dir": str(root / "data")
    }  # fmt: skip
    data = load_data(section)
    assert data.train.image.shape == (27, SIDE, SIDE, 3)
    assert list(data.augment.mean) == done.facts["training"]["mean"]
    assert list(data.augment.std) == done.facts["training"]["std"]
    assert data.augment.padding == 4 and data.augment.flip is True
    other = load_data(section | {"flip": False, "padding": 1, "train": "train[:20]"})
    assert (other.augment.flip, other.augment.padding) == (False, 1)
    assert other.augment.mean == data.augment.mean


def test_photographs_are_streamed(tmp_path):
    """Images of several sizes, each of the same weight in mean and deviation."""
    files = {
        f"{i}.png": encode(picture(40 + i, 200 - i, i), kind="PNG") for i in range(9)
    }
    write_folder(
        tmp_path / "in", {"": {"a": files, "b": {"0.jpg": encode(image(0, 90))}}}
    )
    done = prepared(tmp_path, validation=0.3)
    names = stored_names(done, "train")
    pixels = [decoded((tmp_path / "in" / name).read_bytes()) / 255 for name in names]
    means = np.mean([p.mean((0, 1)) for p in pixels], 0)
    squares = np.mean([(p**2).mean((0, 1)) for p in pixels], 0)
    training = done.facts["training"]
    np.testing.assert_allclose(training["mean"], means, rtol=1e-12)
    np.testing.assert_allclose(training["std"], np.sqrt(squares - means**2), rtol=1e-10)
    assert training["feed"] == "streamed"
    assert training["crops"] == {"size": 32, "short_side": 37, "smallest_area": 0.25}
    assert streams_by_itself("mine", str(tmp_path / "data"))
    section = nested()["data"] | {"data_dir": str(tmp_path / "data")}
    section |= data_section("mine", done.facts)
    section["crops"] = nested()["data"]["crops"] | section["crops"]
    data = load_data(section | {"feed": "auto"})
    assert data.train.image.shape[1:] == (32, 32, 3) and data.augment.padding == 0
    heights = {"smallest": 40, "median": 44.5, "largest": 90}
    assert done.facts["heights"] == heights
    text = "\n".join(summary(done))
    assert "heights 40 to 90 (median 44.5), widths 90 to 200" in text
    assert "random crops of 25% to 100% of an image, resized to 32 x 32" in text


def test_the_image_size_that_is_wanted(tmp_path):
    write(tmp_path / "in", {"a": 3, "b": 3}, side=64)
    crops = prepared(tmp_path, image_size=48).facts["training"]["crops"]
    assert (crops["size"], crops["short_side"]) == (48, 55)
    with pytest.raises(DataError, match="mine:1.0.1, another.*or delete that dir"):
        prepared(tmp_path, image_size=56)
    same = prepared(tmp_path, "mine:1.0.1", image_size=64)
    assert same.facts["training"]["feed"] == "resident"
    with pytest.raises(DataError, match="--image_size is 4; expected 8 pixels"):
        prepared(tmp_path, "other", image_size=4)


def test_a_config_trains_on_it(own):
    root, done = own
    text = config_text("mine", done.facts, "mine.py", "data", "1.0.0")
    namespace = {}
    exec(compile(text, "mine.py", "exec"), namespace)
    teacher, student = (namespace["get_config"](arg) for arg in ("teacher", ""))
    assert (teacher.model.name, student.model.name) == ("resnet20", "resnet8")
    assert teacher.method.name == "ce" and student.method.name == "kd"
    assert student.data.test == "validation" and student.batch_size == 16
    student.batch_size, student.total_epochs = 64, 10.0
    schedule = student.schedule
    assert (schedule.learning_rate, schedule.warmup_epochs) == (0.05, 0.5)
    typed = commands("mine/pixels_64", "my sets/a.py", "", "kdjax")[0]
    assert typed == (
        "kdjax train '--config=my sets/a.py:teacher' \\\n"
        "    --workdir=runs/mine-pixels_64/teacher"
    )


def test_a_misspelt_word_trains_no_student(own, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(config_text("mine", own[1].facts, "mine.py", "data", "1.0.0"))
    assert load_config(f"{file}:teacher", []).method.name == "ce"
    message = "mine.py:ARG: ARG is 'teachr'; expected 'teacher'. Did you mean teacher?"
    with pytest.raises(InputError, match=re.escape(message)):
        load_config(f"{file}:teachr", [])


def test_without_a_split_off_nothing_measures(tmp_path):
    write(tmp_path / "in", {"a": 3, "b": 3})
    done = prepared(tmp_path, validation=0.0)
    assert done.splits == {"train": 6}
    with pytest.raises(DataError, match="mine has no images to validate with"):
        data_section("mine", done.facts)


@pytest.mark.parametrize("value", [1.0, -0.1, float("nan")])
def test_shares_that_cannot_be(tmp_path, value):
    write(tmp_path / "in", {"a": 2, "b": 2})
    with pytest.raises(DataError, match="--validation is .*expected a share"):
        prepared(tmp_path, validation=value)


def test_other_files_or_options_are_another_set(own, tmp_path):
    root = tmp_path
    shutil.copytree(own[0] / "in", root / "in")
    shutil.copytree(own[0] / "data", root / "data")
    assert prepared(root).source is None
    with pytest.raises(DataError, match="--seed was 0 and is 3; files, or their spl"):
        prepared(root, seed=3)
    (root / "in/owl/new.jpg").write_bytes(A)
    with pytest.raises(DataError, match="files, or their splits, are others. Prepare"):
        prepared(root)
    assert prepared(root, "mine:1.0.1").splits["train"] == 28
    shutil.rmtree(root / "in")
    (root / "ins").mkdir()
    with pytest.raises(DataError, match="in is not a directory.*Did you mean .*ins"):
        prepared(root, "mine:1.0.0")


def test_a_constant_channel_divides_by_one(tmp_path):
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = np.arange(SIDE)
    classes = {
        "a": {"0.png": encode(red, kind="PNG")},
        "b": {"0.png": encode(red[::-1], kind="PNG")},
    }
    write_folder(tmp_path / "in", {"": classes})
    training = prepared(tmp_path, validation=0.0).facts["training"]
    assert training["mean"][1:] == [0, 0] and training["std"][1:] == [1, 1]


def test_only_some_of_a_large_set_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_builder, "MEASURED", 5)
    write(tmp_path / "in", {"a": 6, "b": 6})
    done = prepared(tmp_path, validation=0.0)
    assert done.facts["measured"] == 5 and done.splits["train"] == 12


def test_what_is_recorded_is_checked(own, tmp_path):
    shutil.copytree(own[0] / "data", tmp_path / "data")
    path = tmp_path / "data/mine/1.0.0" / FILE
    assert recorded("mine", tmp_path / "data").streamed is False
    facts = json.loads(path.read_text())
    facts["training"]["padding"] = 3
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match="what is recorded of a set is damaged"):
        recorded("mine", tmp_path / "data")
    os.remove(path)
    assert recorded("mine", tmp_path / "data") is None
    assert recorded("nothing", tmp_path / "data") is None


def test_a_set_in_another_format_keeps_what_is_known(tmp_path, monkeypatch):
    """Moments; its sizes and counts are its own, without what was left out."""
    classes = {
        name: {f"{i}.jpg": encode(picture(250 + i, 300, i + first)) for i in range(3)}
        for name, first in (("a", 0), ("b", 9))
    }
    write_folder(tmp_path / "in", {"": classes})
    done = prepared(tmp_path)
    assert done.facts["training"]["crops"]["size"] == 224
    lost = next(n for n in sorted(stored_names(done, "train")) if n.startswith("b"))
    lost, convert = (tmp_path / "in" / lost).read_bytes(), Pixels.convert

    def fails(form, content):
        if content == lost:
            raise Unreadable("damaged since")
        return convert(form, content)

    monkeypatch.setattr(Pixels, "convert", fails)
    small = convert_images(
        "mine", Pixels(128), data_dir=tmp_path / "data", skip_at_most=1
    )
    assert len(small.skipped) == 1 and small.splits == {"train": 3, "validation": 2}
    facts, training = small.facts, small.facts["training"]
    assert training["mean"] == done.facts["training"]["mean"]
    assert training["crops"]["short_side"] == 128 and training["crops"]["size"] == 112
    assert facts["heights"] == {"smallest": 128, "median": 128, "largest": 128}
    widths = [int(128 * 300 / height) for height in (250, 252)]
    assert [facts["widths"][key] for key in ("largest", "smallest")] == widths
    assert facts["splits"]["train"] == {
        "images": 3, "a_class": {"smallest": 1, "largest": 2, "median": 1.5},
        "fewest": "b",
    }  # fmt: skip
    assert facts["splits"]["validation"]["images"] == 2
    assert summary(small)[0] == (
        "  classes   2, each with 1 to 2 training images (median 1.5; fewest: b)"
    )
