"""The names of classes that leave with a network come back with it."""

import json

import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.cli import export, import_
from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.pretrained import load_trained
from kdjax.weights import safetensors
from tests.weights.conftest import MEAN, STD

NAMES = [f"class {letter}" for letter in "abcdefghij"]
NUMBERS = [str(number) for number in range(10)]
DATA = {
    "classes": 10,
    "class_names": NAMES[::-1],
    "image_shape": [28, 28, 1],
    "normalisation": {"mean": list(MEAN), "std": list(STD)},
}


def names_in(workdir):
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    return meta["data"].get("class_names")


def section(workdir):
    return {"workdir": str(workdir), "student": "", "checkpoint": "latest"}


@pytest.fixture(scope="module")
def exported(flags, tmp_path_factory):
    """The flags of an import, of a file whose record names the classes."""
    root = tmp_path_factory.mktemp("exported")
    (root / "names.txt").write_text("\n".join(NAMES))
    named = [f"--classes={root / 'names.txt'}", f"--workdir={root / 'named'}"]
    output = root / "named.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_.devices, "configure", lambda *_: 8)
        assert import_.main([*flags, *named]) == 0
        words = [str(root / "named"), "--format=safetensors", f"--output={output}"]
        assert export.main(words) == 0
    return [str(output), *flags[1:]]


@pytest.fixture
def back(exported, tmp_path, as_they_are):
    assert import_.main([*exported, f"--workdir={tmp_path / 'back'}"]) == 0
    return tmp_path / "back"


def with_names(exported, tmp_path, names):
    """The same file with other names in its record; the flags of its import."""
    file, *flags = exported
    record = json.loads(safetensors.read_metadata(file)["kdjax"])
    record["class_names"] = names
    path = tmp_path / "other.safetensors"
    metadata = {"format": "pt", "kdjax": json.dumps(record)}
    safetensors.write(path, safetensors.read(file), metadata)
    return [str(path), *flags, f"--workdir={tmp_path / 'other'}"]


def test_a_teacher_that_comes_back_teaches_by_name(back, capsys):
    assert names_in(back) == NAMES
    loaded = load_trained("config.teacher", section(back), DATA, teaches=True)
    places = loaded.identity["adapted"]
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype(np.float32)
    same = load_trained(
        "config.teacher", section(back), DATA | {"class_names": NAMES}, teaches=True
    )
    ours, theirs = (
        one.network.evaluate(*one.variables, images).logits for one in (loaded, same)
    )
    np.testing.assert_allclose(ours, theirs[:, ::-1], rtol=1e-6)
    assert places["of_classes"] == 10 and "by number" not in capsys.readouterr().err


def test_a_list_of_names_goes_before_those_of_the_file(exported, tmp_path, as_they_are):
    (tmp_path / "names.txt").write_text("\n".join(NAMES[::-1]))
    more = [f"--classes={tmp_path / 'names.txt'}", f"--workdir={tmp_path / 'back'}"]
    assert import_.main([*exported, *more]) == 0
    assert names_in(tmp_path / "back") == NAMES[::-1]


def test_numbers_are_no_names(exported, tmp_path, as_they_are):
    assert import_.main(with_names(exported, tmp_path, NUMBERS)) == 0
    assert names_in(tmp_path / "other") is None


@pytest.mark.errors
@pytest.mark.parametrize("names", [NAMES[:9], "abcdefghij", list(range(10))])
def test_a_record_whose_names_do_not_fit(exported, tmp_path, as_they_are, names):
    with pytest.raises(InputError, match="its class_names are .*; expected 10 names"):
        import_.main(with_names(exported, tmp_path, names))


@pytest.mark.parametrize("of_teacher", [True, False])
def test_classes_that_are_matched_by_number_are_said(teacher, back, capsys, of_teacher):
    """Where the teacher's have no names, and where the run's have none."""
    names = NAMES if of_teacher else NUMBERS
    given = section(teacher if of_teacher else back), DATA | {"class_names": names}
    loaded = load_trained("config.teacher", *given, teaches=True)
    assert "adapted" not in loaded.identity
    nameless = "teacher" if of_teacher else "run"
    said = capsys.readouterr().err
    assert f"matched by number: those of the {nameless} have no names" in said
    load_trained("config.initial", *given)
    assert not capsys.readouterr().err
