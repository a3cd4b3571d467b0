"""Writes the pages that are made of the code: python docs/generate.py

Between their marks `methods.md` gets a row for each method of `METHODS`,
`which_method.md` what methods cost and what is published for networks of two families,
and `claims.md` every claim on the pages of results; `api/methods.rst` gets each
method's docstring. Costs of a step are those that `python -m benchmarks.method_costs`
measured, in method_costs.json.
"""

import inspect
import json
import pathlib
import re
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
COLUMNS = ("Method", "What it is", "Paper", "Needs", "Teacher", "Step", "Published")
COLUMNS += ("Config",)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
# Whose published numbers are shown.
PAIRS = (("resnet56", "resnet20"), ("wrn_40_2", "wrn_16_2"))
PAIRS += (("resnet32x4", "resnet8x4"),)
COSTS = HERE / "method_costs.json"
BANDS = (1.05, 1.25, 1.5, 3.0)  # of the time of a step
PAIR_KINDS = (
    ("one family", ("resnet32x4", "resnet8x4")),
    ("two families", ("resnet32x4", "shufflenet_v2")),
    ("two families", ("resnet50_cifar", "mobilenet_v2_half")),
)
NONE = "-"
ARXIV = re.compile(r"arXiv:\s*(\d{4}\.\d{5})")


def main() -> None:
    for name, tables in TABLES.items():
        page = HERE / name
        page.write_text(with_tables(page.read_text(), tables))
    (HERE / "api/methods.rst").write_text(reference())


def reference() -> str:
    """The page with the docstring of each method and of its `build`."""
    from kdjax.methods import METHODS

    text = "kdjax.methods\n=============\n\n.. automodule:: kdjax.methods\n"
    text += "   :members: Method\n"
    for name in METHODS:
        module = METHODS[name].__name__
        text += f"\n{name}\n{'-' * len(name)}\n\n.. automodule:: {module}\n"
        text += "   :members: build\n"
    return text


def with_tables(text: str, tables: dict) -> str:
    """The page with its tables made anew, each between its marks."""
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        head, rest = text.split(begin)
        text = head + begin + table() + end + rest.split(end)[1]
    return text


def _costs() -> dict:
    return json.loads(COSTS.read_text())["methods"]


def cost_table() -> str:
    """Methods by the time of a step, with the most memory that one of them takes."""
    text, below = "| Time | Memory, at most | Methods |\n|---|---|---|\n", 0.0
    for limit in BANDS:
        band = {n: c for n, c in _costs().items() if below < c["time"] <= limit}
        names = ", ".join(f"`{name}`" for name in sorted(band))
        most = max(cost["memory"] for cost in band.values())
        text += f"| up to {limit:g} | {most:.2f} | {names} |\n"
        below = limit
    return text


def pair_table() -> str:
    """Published top-1 of methods that have a number for each pair of PAIR_KINDS."""
    from kdjax.methods import METHODS
    from kdjax.reproduce import published

    heads = [f"{kind}: {' to '.join(pair)}" for kind, pair in PAIR_KINDS]
    text = f"| | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}\n"
    alone = [f"{published.LABELS[pair[1]]:.2f}" for _, pair in PAIR_KINDS]
    text += f"| student alone | {' | '.join(alone)} |\n"
    for name in METHODS:
        numbers = [published.top1(name, *pair) for _, pair in PAIR_KINDS]
        if all(numbers):
            star = "*" * (published.ROWS[name].tuned == "yes")
            cells = " | ".join(f"{one:.2f}{star}" for one in numbers)
            text += f"| `{name}` | {cells} |\n"
    return text


def method_table() -> str:
    """One row a method, from its docstring, REFERENCE, costs and configs."""
    from kdjax.methods import METHODS

    costs = _costs()
    return HEAD + "".join(
        _row(name, METHODS[name], costs.get(name)) for name in METHODS
    )


def _row(name: str, module, costs: dict | None) -> str:
    what = module.__doc__.splitlines()[0].rstrip(".")
    papers = ", ".join(
        f"[{number}](https://arxiv.org/abs/{number})"
        for number in dict.fromkeys(ARXIV.findall(module.__doc__))
    )
    method = _built(module)
    cells = (
        f"[`{name}`](../kdjax/methods/{name}.py)",
        what[:1].lower() + what[1:] if what[1:2].islower() else what,
        "; ".join(filter(None, (module.REFERENCE, papers))),
        _needs(method),
        _teacher(method),
        f"{costs['time']:.2f}, {costs['memory']:.2f}" if costs else NONE,
        _published(name),
        _configs(name),
    )
    return f"| {' | '.join(cells)} |\n"


# Arguments that have no default; any value that is in range says what a method needs.
NUMBERS = {"alpha": 0.9, "temperature": 4.0, "base": 4.0, "spread": 4.0, "gamma": 1.0}
OTHERS = {"link": "kl", "noise_rate": 0.4, "warmup_epochs": 1.0, "teacher_channels": 8}
RUN = {"num_examples": 10, "num_classes": 10, "steps_per_epoch": 10, "total_steps": 10}
RUN |= {"train_labels": np.arange(10)}
# Of `Method.needs`, in words.
STEP_NEEDS = {
    "teacher_variables": "the teacher's weights",
    "image_gradients": "gradients of images",
    "student_parameters": "the student's weights",
}
VIEWS = {"crop": "a second crop", "randaugment": "a second view by RandAugment"}


def _built(module):
    """The method, with any value for each argument that has no default."""
    parameters = inspect.signature(module.build).parameters.values()
    usual = NUMBERS | OTHERS | RUN
    return module.build(
        **{
            p.name: usual[p.name]
            for p in parameters
            if p.default is p.empty or p.name in RUN
        }
    )


def _needs(method) -> str:
    """What a method cannot do without, as it declares."""
    needs = ["a teacher"] if method.needs_teacher else []
    if "members" in method.needs:
        needs = ["several teachers"]
    needs += ["labels"] if "label" in method.reads else []
    needs += ["a selection"] if {"selection", "clean"} & set(method.needs) else []
    features = (*method.student_features, *method.teacher_features)
    if features:
        pooled = all(name == "pooled" for name in features)
        needs += ["pooled features" if pooled else "feature maps"]
    needs += ["connectors"] if method.connectors else []
    needs += ["the teacher's classifier"] if method.reused_classifier else []
    needs += [words for need, words in STEP_NEEDS.items() if need in method.needs]
    needs += ["a memory"] if method.memory else []
    needs += [f"{method.networks} networks"] if method.networks > 1 else []
    needs += ["two crops"] if method.mixture else []
    needs += [VIEWS[method.second_view]] if method.second_view else []
    return ", ".join(needs)


def _teacher(method) -> str:
    """Whether a cache of the teacher's outputs can stand for it."""
    if not method.needs_teacher:
        return NONE
    return "live" if method.why_not_cached else "live or cached"


def _published(name: str) -> str:
    """Top-1 of the pairs, where something is published for one of them."""
    from kdjax.reproduce import published

    numbers = [published.top1(name, *pair) for pair in PAIRS]
    if not any(numbers):
        return NONE
    text = " / ".join(f"{one:.2f}" if one else NONE for one in numbers)
    return text + "*" * (published.ROWS[name].tuned == "yes")


def _configs(name: str) -> str:
    # Cross entropy is how a teacher is trained; its config has that name.
    stem = "teacher" if name == "ce" else name
    paths = sorted((ROOT / "configs").glob(f"*/{stem}.py"))
    links = [f"[{path.parent.name}](../{path.relative_to(ROOT)})" for path in paths]
    from kdjax.reproduce.repdistiller import FIELD

    if name in FIELD:
        links.append("[benchmark](../configs/cifar100/repdistiller.py)")
    return ", ".join(links)


def claims_table() -> str:
    """Every claim of the RESULTS.md pages, and whether it held."""
    from kdjax.reproduce import claims_table

    return claims_table.tables(ROOT)


TABLES = {
    "claims.md": {"claims": claims_table},
    "methods.md": {"methods": method_table},
    "which_method.md": {"costs": cost_table, "pairs": pair_table},
}

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
