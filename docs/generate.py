"""Writes the pages that are made of the code: python docs/generate.py

`methods.md` gets a row for each method of `METHODS`, between its two marks.
"""

import inspect
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
        _needs(module),
        _configs(name),
    )
    return f"| {' | '.join(cells)} |\n"


# Arguments that have no default; any value that is in range says what a method needs.
NUMBERS = {"alpha": 0.9, "temperature": 4.0, "base": 4.0, "spread": 4.0, "gamma": 1.0}
OTHERS = {"link": "kl", "noise_rate": 0.4, "warmup_epochs": 1.0}
RUN = {"num_examples": 10, "num_classes": 10, "steps_per_epoch": 10, "total_steps": 10}


def _needs(module) -> str:
    """What a method cannot do without, as it declares."""
    parameters = inspect.signature(module.build).parameters.values()
    usual = NUMBERS | OTHERS | RUN
    given = {p.name: usual[p.name] for p in parameters if p.default is p.empty}
    method = module.build(**given)
    needs = ["a teacher"] if method.needs_teacher else []
    if "members" in method.needs:
        needs = ["several teachers"]
    needs += ["labels"] if "label" in method.reads else []
    needs += ["a selection"] if {"selection", "clean"} & set(method.needs) else []
    needs += ["a memory of each sample"] if method.memory else []
    needs += [f"{method.networks} networks"] if method.networks > 1 else []
    needs += ["two crops"] if method.mixture else []
    return ", ".join(needs)


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
