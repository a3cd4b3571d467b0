"""Writes the pages that are made of the code: python docs/generate.py

`methods.md` gets a row for each method of `METHODS`, between its two marks.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
BEGIN, END = "<!-- methods: begin -->\n", "<!-- methods: end -->\n"
HEAD = "| Method | What it is | Paper | Needs | Config |\n|---|---|---|---|---|\n"
ARXIV = re.compile(r"arXiv:\s*(\d{4}\.\d{5})")


def main() -> None:
    page = HERE / "methods.md"
    page.write_text(with_table(page.read_text()))


def with_table(text: str) -> str:
    """The page with its table made anew."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + method_table() + END + rest.split(END)[1]


def method_table() -> str:
    """One row a method, from its docstring, REFERENCE and configs."""
    from kdjax.methods import METHODS

    return HEAD + "".join(_row(name, METHODS[name]) for name in METHODS)


def _row(name: str, module) -> str:
    what = module.__doc__.splitlines()[0].rstrip(".")
    papers = ", ".join(
        f"[{number}](https://arxiv.org/abs/{number})"
        for number in dict.fromkeys(ARXIV.findall(module.__doc__))
    )
    cells = (
        f"[`{name}`](../kdjax/methods/{name}.py)",
        what[:1].lower() + what[1:] if what[1:2].islower() else what,
        f"{module.REFERENCE}; {papers}",
        getattr(module, "NEEDS", "labels"),
        _configs(name),
    )
    return f"| {' | '.join(cells)} |\n"


def _configs(name: str) -> str:
    # Cross entropy is how a teacher is trained; its config has that name.
    stem = "teacher" if name == "ce" else name
    paths = sorted((ROOT / "configs").glob(f"*/{stem}.py"))
    return ", ".join(
        f"[{path.parent.name}](../{path.relative_to(ROOT)})" for path in paths
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
