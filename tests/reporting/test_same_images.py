"""Images are the same where their content is, whatever they are called."""

import json

import pytest

from kdjax.reporting.blocks import Chart, Table
from kdjax.reporting.runs import read_runs
from kdjax.reporting.same_images import same_images
from kdjax.reporting.sections import run_sections
from tests.reporting.workdirs import DATA, section, write


def run(path, method, name, digest="", *, seed=0, **settings):
    """A run on a set of this name; `digest` is of its test images, and recorded."""
    one = section(method, seed, **settings)
    write(path, {method: (one, 50.0 + seed)}, seed=seed)
    config = json.loads((path / "config.json").read_text())
    config["data"]["name"] = name
    (path / "config.json").write_text(json.dumps(config))
    summary = json.loads((path / "summary.json").read_text())
    parts = {
        part: DATA[part] | {"name": name.partition(":")[0], "sha256": part + digest}
        for part in ("train", "test")
    }
    if digest:
        summary["identity"]["data"] = DATA | parts
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def sections_of(root):
    return {s.title: s for s in run_sections(read_runs([root]))}


def test_other_arrays_of_one_name_are_not_compared(tmp_path):
    run(tmp_path / "ce", "ce", "data.npz", "a")
    run(tmp_path / "kd", "kd", "data.npz", "b")
    sections = sections_of(tmp_path)
    expected = "Not compared with ce: kd (other test images)."
    assert sections["Compared with ce"].blocks == [expected]
    (*_, table) = sections["Results"].blocks
    assert "compare within one set only" in table.caption
    facts = dict(sections["What was run"].blocks[0].rows)
    first, second = facts["data"].split("\n")
    assert first.endswith("10 classes, SHA-256 traina and testa (ce)")
    assert second.endswith("10 classes, SHA-256 trainb and testb (kd)")


@pytest.mark.parametrize("name", ["photos:1.0.0", "other"])
def test_one_set_of_two_names_is_compared(tmp_path, name):
    run(tmp_path / "ce", "ce", name, "a")
    run(tmp_path / "kd", "kd", "photos", "a")
    sections = sections_of(tmp_path)
    *_, table = sections["Compared with ce"].blocks
    assert isinstance(table, Table) and [row[1] for row in table.rows] == ["kd"]
    (*_, table) = sections["Results"].blocks
    assert "compare within" not in table.caption


def test_seeds_and_temperatures_of_other_arrays_are_no_one_line(tmp_path):
    for seed, digest in enumerate("ab"):
        for tau in (1.0, 4.0):
            path = tmp_path / f"kd_tau{tau:g}_seed{seed}"
            run(path, "kd", "data.npz", digest, seed=seed, temperature=tau)
    sections = sections_of(tmp_path)
    (*_, table) = sections["Results"].blocks
    scores = sorted(row[table.columns.index("test top-1 %")] for row in table.rows)
    assert scores == ["50.00", "50.00", "51.00", "51.00"]
    (chart,) = (b for b in sections["Temperature"].blocks if isinstance(b, Chart))
    assert "±" not in json.dumps(chart.spec, ensure_ascii=False)


def test_by_name_where_a_digest_is_missing():
    old, new = {"name": "a", "split": "test"}, {"name": "a", "split": "test"}
    new |= {"version": "1.0.0", "sha256": "1"}
    assert same_images(old, new) and same_images({}, {})
    assert not same_images(old | {"version": "1.0.1"}, new)
    assert not same_images(old | {"split": "test[:9]"}, new)
    # Crops change the pixels, of which a streamed set's digest knows nothing.
    assert not same_images(new | {"crops": {"size": 32}}, new | {"crops": {"size": 8}})
