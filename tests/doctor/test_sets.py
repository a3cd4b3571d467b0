"""Unusual data sets that are sound have no problem; files of arrays are not trusted."""

import io
import time
import zipfile

import numpy as np
import pytest

from kdjax.doctor import sets
from kdjax.doctor.findings import OK, PROBLEM
from tests.data.jpegs import prepare_jpegs
from tests.doctor.planting import look, texts
from tests.faults.test_image_kinds import KINDS

UNUSUAL = ("jpeg_cmyk", "grey_alpha", "rgba16", "palette_transparent", "webp", "rgb")


@pytest.mark.parametrize("channels", (1, 3))
def test_images_of_all_kinds_are_decoded_as_training_does(tmp_path, channels):
    rows = [(KINDS[kind][0], number % 5) for number, kind in enumerate(UNUSUAL)]
    prepare_jpegs(tmp_path, {"train": rows}, channels=channels)
    (directory,) = sets.below(tmp_path)
    findings = look(directory)
    assert not texts(findings, PROBLEM)
    assert any("6 images have mean" in line for line in texts(findings, OK))


def test_images_of_four_channels_are_decoded_by_tfds(tmp_path):
    prepare_jpegs(tmp_path, {"train": [(KINDS["rgba"][0], 0)] * 2}, channels=4)
    (directory,) = sets.below(tmp_path)
    assert not texts(look(directory), PROBLEM)


def write_members(path, **headers):
    """An .npz whose members have a header of a shape, and no numbers."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, shape in headers.items():
            content = io.BytesIO()
            header = {"descr": "|b1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(content, header)
            archive.writestr(
                f"{name}.npy", content.getvalue() + bytes(shape == (3,)) * 3
            )


def test_an_array_larger_than_its_file_takes_no_memory(tmp_path):
    path = tmp_path / "selection.npz"
    write_members(path, keep=(3,), labels=(3,), more=(1 << 45,))
    (line,) = texts(look(path), PROBLEM)
    assert "more cannot be read: " in line and "expected 35,184,372,0" in line


def test_what_is_no_file_of_arrays_is_said(tmp_path):
    path = tmp_path / "set.npz"
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(path)
    (line,) = texts(look(path), PROBLEM)
    assert "cannot be read as a file of arrays" in line
    write_members(path, other=(1 << 45,))
    (line,) = texts(look(path), PROBLEM)
    assert "is no data set and no selection; it holds other -> " in line


def test_many_classes_are_compared_at_once():
    """Each with each takes seconds, where there are 20,000."""
    names = (*(f"class {number:05}" for number in range(20_000)), "class 00007")
    start = time.process_time()
    findings = list(sets.examine_classes("x", names, np.arange(len(names))))
    assert time.process_time() - start < 2
    assert [f.text for f in findings] == ["has the class 'class 00007' twice"]
