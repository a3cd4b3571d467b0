"""Every block of docs/losses.md runs as it stands, and learns."""

import pathlib

import jax
import numpy as np
import pytest

PAGE = (pathlib.Path(__file__).parent.parent / "docs/losses.md").read_text()
SECTIONS = {
    part.partition("\n")[0]: part.partition("```python\n")[2].partition("```")[0]
    for part in PAGE.split("\n## ")
    if "```python" in part
}


def test_no_block_is_left_out():
    assert len(SECTIONS) == PAGE.count("```python")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_block_runs(section):
    # As in a reader's process: the tests' own strictness is switched off.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        names = {}
        exec(SECTIONS[section], names)
    if section == "Rules":
        s = names["supervision"]
        labels = np.asarray(names["labels"][names["index"]])
        np.testing.assert_array_equal(np.argmax(s.logits, -1), labels)
        np.testing.assert_array_equal(np.argmax(s.target, -1), labels)
        assert np.ptp(s.temperature) > 0.1 and names["value"] < 20
        assert (np.asarray(names["memory"]["table"]) > 0).all()
