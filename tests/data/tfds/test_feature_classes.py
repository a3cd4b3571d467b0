"""Code that comes with a data set is not imported."""

import json
import sys

import pytest

from kdjax.data.split import DataError
from kdjax.data.tfds import find
from kdjax.data.tfds.feature_classes import check_classes

OWN = "tensorflow_datasets.core.features.image_feature.Image"
STRANGE = "strange_module.Feature"


@pytest.mark.parametrize(
    "record",
    (
        {"pythonClassName": STRANGE},
        {"python_class_name": STRANGE},
        {"type": STRANGE, "content": {}},
        {"pythonClassName": OWN, "x": {"features": [{"type": STRANGE}]}},
    ),
)
def test_a_class_of_another_package_is_refused_and_not_imported(
    tmp_path, monkeypatch, record
):
    (tmp_path / "strange_module.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "features.json").write_text(json.dumps(record))
    message = "features.json names the class 'strange_module.Feature', whose module"
    with pytest.raises(DataError, match=message):
        find.open_builder(tmp_path)
    assert "strange_module" not in sys.modules


def test_tfds_s_own_classes_pass(tmp_path):
    check_classes(tmp_path)  # without a file TFDS says what is missing
    features = {"type": {"pythonClassName": OWN}}  # a feature that is called type
    record = {"pythonClassName": OWN, "featuresDict": {"features": features}}
    (tmp_path / "features.json").write_text(json.dumps(record))
    check_classes(tmp_path)
