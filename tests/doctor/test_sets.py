"""Sound data sets that look unusual have no problem; files of arrays are not trusted."""

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
