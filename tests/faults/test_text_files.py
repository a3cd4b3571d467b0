"""Text files that a user gives, as Windows and others save them."""

import json

import numpy as np
import pytest

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.noise import from_file
from kdjax.data.split import DataError
from kdjax.experiment import schema
from kdjax.experiment.teacher_inputs import read_names
from kdjax.sweeps.trials import read_trials

BOM = b"\xef\xbb\xbf"
# Line -> bytes of a file of such lines.
SAVED = {
    "Linux": lambda lines: "\n".join([*lines, ""]).encode(),
    "without an end": lambda lines: "\n".join(lines).encode(),
    "byte order mark": lambda lines: BOM + "\n".join([*lines, ""]).encode(),
    "Windows": lambda lines: BOM + "\r\n".join([*lines, ""]).encode(),
    "old Mac": lambda lines: "\r".join([*lines, ""]).encode(),
}
NAMES = ["Größe", "dog", "a b"]


@pytest.fixture(params=SAVED.values(), ids=SAVED)
def save(request, tmp_path):
    def to(name, lines):
        path = tmp_path / name
        path.write_bytes(request.param(lines))
        return path

    return to


def test_lists_of_classes(save):
    assert read_names("--classes", str(save("classes.txt", NAMES))) == NAMES


def test_a_name_may_have_what_splitlines_splits_at(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("a\u2028b\nc\x0cd\n", encoding="utf-8")
    assert read_names("--classes", str(path)) == ["a\u2028b", "c\x0cd"]


def test_labels(save):
    path = save("labels.txt", ["0", "1", "2"])
    given = from_file(np.zeros(3, np.int32), 3, path=path)
    assert given.tolist() == [0, 1, 2]


def test_trials(save):
    rows = [json.dumps({"name": "Größe"[:2], "seed": seed}) for seed in (1,)]
    rows += ["", json.dumps({"published.source": "a\u2028b"}, ensure_ascii=False)]
    trials = read_trials(schema.base(), save("trials.jsonl", rows))
    assert [trial.config.seed for trial in trials] == [1, 0]
    assert trials[1].config.published.source == "a\u2028b"


@pytest.mark.parametrize("encoding", ("utf-16", "latin-1"))
def test_other_encodings_are_refused_in_a_sentence(tmp_path, encoding):
    path = tmp_path / "text"
    path.write_bytes("ü 1\n".encode(encoding))
    for read in (
        lambda: read_names("--classes", str(path)),
        lambda: from_file(np.zeros(1, np.int32), 2, path=path),
        lambda: read_trials(schema.base(), path),
    ):
        with pytest.raises(InputError, match="cannot be? ?read|cannot read"):
            read()


ODD = {
    "deep": "[" * 100_000,
    "many digits": '{"seed": ' + "9" * 5000 + "}",
    "not a number": '{"seed": NaN}',
    "too large": '{"seed": 1e400}',
    "a key that is none": '{"": 1}',
    "a list": "[1]",
    "of a list": '{"seed": [1, 2]}',
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
def test_a_line_that_is_no_trial(tmp_path, line):
    path = tmp_path / "trials"
    path.write_text(line)
    with pytest.raises(InputError, match="line 1 of "):
        read_trials(schema.base(), path)


def test_half_a_letter_is_no_path(tmp_path):
    path = tmp_path / "trials"
    path.write_text('{"teacher.workdir": "\\ud800"}')
    (trial,) = read_trials(schema.base(), path)
    with pytest.raises(InputError, match="teacher.workdir is .*expected letters"):
        paths.parse(trial.config.teacher.workdir, "config.teacher.workdir")


WRONG = {
    **{"large": str(2**62), "larger": str(2**80), "negative": "-1"},
    **{"next": "3", "words": "a", "number": "1.5"},
}


@pytest.mark.parametrize("label", WRONG.values(), ids=WRONG)
def test_labels_of_no_class(tmp_path, label):
    path = tmp_path / "labels.txt"
    path.write_text(f"0 1 {label}")
    with pytest.raises(DataError, match="expected 3 integers from 0 to 2"):
        from_file(np.zeros(3, np.int32), 3, path=path)


@pytest.mark.parametrize("label", (2**62, 2**32 + 1, -(2**32) + 1, -1, 5))
@pytest.mark.parametrize("streamed", (False, True))
def test_labels_of_no_class_in_a_prepared_set(tmp_path, label, streamed, monkeypatch):
    import tensorflow_datasets as tfds

    from kdjax.data.images.crops import Geometry
    from kdjax.data.load import load_split
    from tests.data.jpegs import pictures, prepare_jpegs

    rows = [(pictures(1)[0][0], label) for label in (0, label)]
    with monkeypatch.context() as patched:  # TFDS checks what it writes
        feature = tfds.features.ClassLabel
        patched.setattr(feature, "encode_example", lambda self, number: number)
        prepare_jpegs(tmp_path, {"train": rows})
    crops = Geometry(size=8, short_side=8) if streamed else None
    for _ in range(2):  # with the labels that the first reading kept, and without
        with pytest.raises(DataError, match=f"is {label}; expected 0 to 4"):
            load_split("jpeg_set", "train", data_dir=tmp_path, crops=crops)
