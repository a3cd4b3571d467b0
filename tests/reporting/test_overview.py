"""The page explains what it shows, and shows every value of a config."""

from kdjax.reporting.blocks import Code, Table
from tests.reporting.test_sections import blocks_of, sections_of
from tests.reporting.workdirs import section, write


def test_an_empty_value_is_not_that_of_other_runs(tmp_path):
    write(tmp_path / "t", {"ce": (section("ce"), 50.0)})
    write(tmp_path / "s", {"kd": (section("kd"), 50.0)}, teacher="runs/t")
    (config,) = blocks_of(sections_of(tmp_path)["What was run"], Code)[1:]
    assert 'teacher.workdir = runs/t (s); "" (t)\n' in config.text


def test_columns_that_are_not_there_are_not_explained(tmp_path):
    write(tmp_path / "t", {"ce": (section("ce"), 50.0)})
    sections = sections_of(tmp_path)
    (table,) = blocks_of(sections["Throughput and time"], Table)
    assert table.columns == ["run", "wall time", "goodput", "images/s", "input wait %"]
    assert "Goodput is the share" in table.caption and "skipped" not in table.caption
