"""Teachers of another input size and of other classes: what they say, and refusals."""

import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.cli import evaluate, import_
from kdjax.contracts import InputError
from kdjax.data.load import load_split
from kdjax.experiment.pretrained import load_trained
from kdjax.experiment.teachers import load_teacher
from kdjax.runner import run
from tests.experiment import configs
from tests.weights import numpy_resnet
from tests.weights.conftest import MEAN, STD, as_they_are, file, flags, teacher, tensors
from tests.weights.test_input_transforms import weights

pytestmark = pytest.mark.usefixtures("own_networks")

__all__ = ["as_they_are", "file", "flags", "teacher", "tensors"]  # fixtures

NAMES = [f"class {letter}" for letter in "abcdefghij"]
DATA = {
    "classes": 10,
    "class_names": NAMES,
    "image_shape": [28, 28, 1],
    "normalisation": {"mean": list(MEAN), "std": list(STD)},
}
SMALL = DATA | {"image_shape": [14, 20, 1]}
IMAGES = np.random.default_rng(2).normal(size=(2, 28, 28, 1)).astype(np.float32)


def section(workdir, **more):
    named = {"workdir": str(workdir), "student": "", "checkpoint": "latest"}
    return named | {"network": ""} | more


def logits(loaded, images):
    return jax.jit(loaded.network.evaluate)(*loaded.variables, images).logits


def close(actual, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=5e-5 * scale)


@pytest.fixture(scope="module")
def named(flags, tmp_path_factory):
    """The same weights, imported with the names of their classes."""
    where = tmp_path_factory.mktemp("named")
    (where / "names.txt").write_text("\n".join(NAMES) + "\n\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_.devices, "configure", lambda *_: 8)
        more = [f"--classes={where / 'names.txt'}", f"--workdir={where / 'run'}"]
        assert import_.main([*flags, *more]) == 0
    return where / "run"


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_students_images_are_resized_for_it(teacher, tensors, method):
    loaded = load_teacher(section(teacher, input_size=(28, 28), resize=method), SMALL)
    images = np.random.default_rng(3).normal(size=(2, 14, 20, 1)).astype(np.float32)
    rows, columns = weights(14, 28, method), weights(20, 28, method)
    resized = np.einsum("ih,jw,bhwc->bijc", rows, columns, images)
    close(logits(loaded, images), numpy_resnet.logits(tensors, resized))
    assert loaded.identity["adapted"] == {"input_size": [28, 28], "resize": method}
    assert loaded.identity["asked"] == {"input_size": [28, 28], "resize": method}


def test_how_it_is_asked_is_part_of_who_it_is(teacher, named):
    small = [section(teacher, input_size=[28, 28], resize=r) for r in ("bicubic", "")]
    small[1]["resize"] = "bilinear"
    order = DATA | {"class_names": NAMES[::-1]}
    loaded = [load_teacher(each, SMALL) for each in small]
    loaded += [
        load_teacher(section(teacher), DATA),
        load_teacher(section(named), order),
    ]
    digests = [each.identity["digest"] for each in loaded]
    assert len(set(digests)) == 4
    same = load_teacher(section(named), DATA)
    assert same.identity["digest"] == digests[2] and "adapted" not in same.identity


def test_its_classes_may_have_another_order_or_be_more(named, tensors):
    expected = numpy_resnet.logits(tensors, IMAGES)
    for ours in (NAMES[::-1], [NAMES[7], NAMES[2], NAMES[5]]):
        data = DATA | {"class_names": ours, "classes": len(ours)}
        loaded = load_teacher(section(named), data)
        places = [NAMES.index(name) for name in ours]
        close(logits(loaded, IMAGES), expected[:, places])
        assert loaded.identity["adapted"]["of_classes"] == 10
        assert loaded.places == tuple(places)
    assert load_teacher(section(named), DATA).places is None


def test_a_file_names_the_classes_of_a_teacher_without_names(
    teacher, tensors, tmp_path
):
    (tmp_path / "names.txt").write_text("\n".join(NAMES[::-1]))
    request = section(teacher, classes=str(tmp_path / "names.txt"))
    loaded = load_teacher(request, DATA)
    close(logits(loaded, IMAGES), numpy_resnet.logits(tensors, IMAGES)[:, ::-1])
    pair = load_teacher(request | {"workdir": f"{teacher},{teacher}"}, DATA)
    close(logits(pair, IMAGES), logits(loaded, IMAGES))
    assert pair.identity["asked"] == loaded.identity["asked"]


def test_a_network_of_ones_own_is_asked_likewise(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join([*NAMES[::-1], "another"]))
    own = {"network": "tests.networks:eleven_classes", "workdir": ""}
    request = section("", classes=str(tmp_path / "names.txt")) | own
    plain = load_teacher(own | section("") | own, DATA | {"classes": 11})
    loaded = load_teacher(request | {"input_size": (28, 28)}, SMALL)
    images = np.repeat(np.repeat(IMAGES[:, :14, :14], 2, 1), 2, 2)  # any image
    assert logits(loaded, images[:, :14, :20]).shape == (2, 10)
    same = load_teacher(request, DATA)
    expected = np.asarray(logits(plain, IMAGES))[:, 9::-1]
    np.testing.assert_allclose(logits(same, IMAGES), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "more", "message"),
    (
        (SMALL, {}, r"image_shape \[28, 28, 1\].*has \[14, 20, 1\].*input_size = \(28"),
        (SMALL, {"input_size": (32, 32)}, r"input_size is \(32, 32\).*on, \[28, 28, 1"),
        (SMALL, {"input_size": 28}, "input_size is 28; expected .height, width"),
        (SMALL, {"input_size": (28, 0)}, r"input_size is \(28, 0\); expected"),
        (SMALL, {"input_size": (28, 28), "resize": "area"}, "resize is 'area'; exp"),
        (DATA | {"class_names": ["x", "y"]}, {}, "2 of the run's 2 classes are none"),
        ({k: v for k, v in DATA.items() if k != "class_names"}, {}, "earlier version"),
        (DATA, {"classes": "none.txt"}, "classes is 'none.txt', which cannot be read"),
    ),
)
def test_what_does_not_fit_is_told(named, data, more, message):
    with pytest.raises(InputError, match=f"config.teacher.*{message}"):
        load_teacher(section(named, **more), data)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A teacher of this project, and the set of cats, dogs and emus that it knows."""
    root = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (24, 8, 8, 1), np.uint8)
    label = (np.arange(24) % 3).astype(np.int32)
    names = np.array(ANIMALS)
    arrays = {"train_image": image, "train_label": label, "class_names": names}
    arrays |= {"test_image": image, "test_label": label}
    np.savez(root / "animals.npz", **arrays)
    config = configs.teacher(root)
    config.data.name, config.data.train, config.data.test = (
        "animals.npz",
        "train",
        "test",
    )
    config.data.mean, config.data.std = (0.5,), (0.25,)
    config.data.padding, config.data.flip = 0, False
    config.model = ConfigDict({"name": "tests.networks:linear"})
    config.batch_size, config.total_steps = 8, 2
    run.run(config, root / "run")
    return root / "run"


ANIMALS = ["cat", "dog", "emu"]
WILD = {
    "classes": 3,
    "class_names": ANIMALS,
    "image_shape": [8, 8, 1],
    "normalisation": {"mean": [0.5], "std": [0.25]},
}


def test_the_classes_of_a_trained_teacher_may_have_another_order(trained):
    images = np.random.default_rng(6).normal(size=(4, 8, 8, 1)).astype(np.float32)
    plain = load_teacher(section(trained), WILD)
    outputs = np.asarray(logits(plain, images))
    params = plain.variables[0]["Dense_0"]
    own = images.reshape(4, -1) @ params["kernel"] + params["bias"]
    np.testing.assert_allclose(outputs, own, rtol=1e-4, atol=1e-5)
    other = WILD | {"class_names": ["emu", "cat", "dog"]}
    loaded = load_teacher(section(trained), other)
    np.testing.assert_allclose(logits(loaded, images), own[:, [2, 0, 1]], rtol=1e-4)
    assert loaded.identity["digest"] != plain.identity["digest"]
    # Classes without names are numbers, in whatever order they are.
    numbered = load_teacher(section(trained), WILD | {"class_names": ["0", "1", "2"]})
    assert numbered.identity == plain.identity
    # What is trained further keeps its logits.
    assert load_trained("config.initial", section(trained), other).variables


def test_other_classes_of_the_same_number_are_refused(trained, tmp_path):
    other = WILD | {"class_names": ["cat", "fox", "emu"]}
    message = "teacher's classes 'dog' are none of the run's, which has 'fox'"
    with pytest.raises(InputError, match=f"config.teacher.workdir: .*{message}"):
        load_teacher(section(trained), other)
    (tmp_path / "names.txt").write_text("emu\nfox\ncat\n")
    named = section(trained, classes=str(tmp_path / "names.txt"))
    assert load_teacher(named, other).identity["adapted"]["of_classes"] == 3


def test_names_that_repeat_are_told_before_anything_is_imported(
    flags, tmp_path, as_they_are
):
    (tmp_path / "names.txt").write_text("\n".join([*NAMES[:9], NAMES[2]]))
    more = [f"--classes={tmp_path / 'names.txt'}", f"--workdir={tmp_path / 'w'}"]
    with pytest.raises(InputError, match="'class c' twice, in lines 3 and 10"):
        import_.main([*flags, *more])
    assert not (tmp_path / "w").exists()


def test_lists_of_names_are_counted(teacher, flags, tmp_path, as_they_are):
    names = tmp_path / "names.txt"
    names.write_text("one\ntwo\n")
    with pytest.raises(InputError, match="names 2 classes and the teacher has 10"):
        load_teacher(section(teacher, classes=str(names)), DATA)
    more = [f"--classes={names}", f"--workdir={tmp_path / 'w'}"]
    with pytest.raises(InputError, match="names 2 classes and the weights have 10"):
        import_.main([*flags, *more])
    for text, reason in (("one\n\ntwo", "an empty line"), ("", "no line")):
        names.write_text(text)
        with pytest.raises(InputError, match=f"{reason}; expected the name of a class"):
            load_teacher(section(teacher, classes=str(names)), DATA)


def test_weights_that_are_trained_further_keep_their_classes(named):
    with pytest.raises(InputError, match="in another order, or others, than those of"):
        order = DATA | {"class_names": NAMES[::-1]}
        load_trained("config.initial", section(named), order)
    assert load_trained("config.initial", section(named), DATA).variables


def test_a_run_is_taught_so_and_evaluate_asks_the_same_way(
    teacher, data_dir, tmp_path, as_they_are, capsys
):
    split = load_split("fashion_mnist_subset", "test[:64]", data_dir=data_dir)
    (tmp_path / "names.txt").write_text("\n".join(split.class_names[::-1]))
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.method = ConfigDict(configs.METHODS["kd"])
    config.teacher.workdir = str(teacher)
    config.teacher.classes = str(tmp_path / "names.txt")
    config.total_steps = 1
    run.run(config, tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["identity"]["teacher"]["adapted"]["of_classes"] == 10
    should_stop = summary["students"]["kd"]["metrics"]["agreement"]
    capsys.readouterr()
    assert evaluate.main([f"--workdir={tmp_path / 'run'}"]) == 0
    row = json.loads(capsys.readouterr().out)["students"]["kd"]
    assert row["agreement"] == pytest.approx(should_stop)


def test_imported_weights_are_scored_in_the_order_of_their_names(
    flags, tensors, data_dir, tmp_path, as_they_are, capsys
):
    split = load_split("fashion_mnist_subset", "test[:64]", data_dir=data_dir)
    (tmp_path / "names.txt").write_text("\n".join(split.class_names[::-1]))
    workdir = [f"--workdir={tmp_path / 'run'}"]
    assert import_.main([*flags, f"--classes={tmp_path / 'names.txt'}", *workdir]) == 0
    capsys.readouterr()
    more = [
        f"--data_dir={data_dir}",
        "--split=test[:64]",
        "--data=fashion_mnist_subset",
    ]
    assert evaluate.main([*workdir, *more]) == 0
    row = json.loads(capsys.readouterr().out)["students"]["resnet8"]
    outputs = numpy_resnet.logits(tensors, (split.image / 255 - MEAN[0]) / STD[0])
    expected = (outputs[:, ::-1].argmax(-1) == split.label).mean()
    assert row["top1"] == pytest.approx(100 * expected)
