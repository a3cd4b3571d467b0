"""What the site makes of docstrings, which are plain text. `make docs` builds it."""

import importlib.util

from tests.documented import ROOT

PATH = ROOT / "docs/extensions/plain_docstrings.py"
spec = importlib.util.spec_from_file_location("plain_docstrings", PATH)
plain_docstrings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain_docstrings)


def lines_of(text: str) -> list[str]:
    lines = plain_docstrings.literal_blocks(text.strip("\n").splitlines())
    return [line for line in lines if line.strip()]


def test_formulas_keep_their_look_and_other_text_its_characters():
    text = """
A distance |s - t|, of `a_` and y_ and p*q.

    L = ||s - t||^2 * tau
      + b_k
"""
    assert lines_of(text) == [
        r"A distance \|s - t\|, of `a_` and y\_ and p\*q.",
        "::",
        "       L = ||s - t||^2 * tau",
        "         + b_k",
    ]


def test_a_table_next_to_a_formula_is_a_table():
    text = """
    L = CE

| symbol | argument |
|--------|----------|
| a_     | alpha    |
|        | `b`      |

Departs from the paper: nothing.
"""
    assert lines_of(text) == [
        "::",
        "       L = CE",
        ".. list-table::",
        "   :header-rows: 1",
        "   * - symbol",
        "     - argument",
        r"   * - a\_",
        "     - alpha",
        "   * - ",
        "     - `b`",
        "Departs from the paper: nothing.",
    ]


def test_sections_and_examples_are_left_to_those_who_read_them():
    text = """
Sums.

Args:
  x: [b, c], so that
    lines go on.
  **rest: of g.

>>> f(2 * 3)
6
"""
    assert lines_of(text) == [line for line in text.splitlines() if line.strip()]
