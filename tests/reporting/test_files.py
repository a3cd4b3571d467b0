"""Files of records: what is written is what can be read."""

import json
import math

import pytest

from kdjax.paths.json_files import CHECKSUM, read_json
from kdjax.reporting.files import replace_record


@pytest.mark.parametrize("value", (math.nan, math.inf, -math.inf))
def test_a_record_with_numbers_that_are_not_finite_is_not_damaged(tmp_path, value):
    path = tmp_path / "r.json"
    replace_record(path, {"loss": value, "rows": [(1, value)], "top1": 2.5})
    assert CHECKSUM in json.loads(path.read_text())
    expected = {"loss": None, "rows": [[1, None]], "top1": 2.5}
    assert read_json(path, "a record") == expected
