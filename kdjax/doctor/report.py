"""Findings for people, as tables, and for programs, as one JSON document."""

import json
from collections.abc import Iterable

import kdjax
from kdjax.doctor.examine import Examined
from kdjax.doctor.findings import NOTE, PROBLEM, Finding
from kdjax.reporting.console import console, plain, table

COLUMNS = ("", "where", "what, and what to do")
MARKS = {PROBLEM: "PROBLEM"}
STYLES = {"PROBLEM": "bold red", "ok": "green"}
ORDER = (PROBLEM, NOTE)


def as_json(examined: Iterable[Examined]) -> str:
    """{"kdjax", "problems", "examined": [{"path", "kind", "findings"}]}."""
    examined = list(examined)
    each = [
        {"path": one.path, "kind": one.kind}
        | {"findings": [finding._asdict() for finding in one.findings]}
        for one in examined
    ]
    record = {"kdjax": kdjax.__version__, "problems": count(examined)}
    return json.dumps(record | {"examined": each}, indent=2)


def count(examined: Iterable[Examined]) -> int:
    """How many problems there are."""
    return sum(f.level == PROBLEM for one in examined for f in one.findings)


def print_tables(examined: list[Examined], stream=None) -> None:
    """A table for each path, what is wrong first, and how many problems there are."""
    lines = console(stream)
    for one in examined:
        findings = sorted(one.findings, key=lambda finding: -_weight(finding.level))
        rows = [_row(finding, one.path) for finding in findings]
        title = f"{one.path or 'this machine'} ({one.kind or 'not known'})"
        lines.print(plain(title), soft_wrap=True)
        lines.print(table(COLUMNS, rows, COLUMNS, styles=STYLES))
    number, every = count(examined), sum(len(one.findings) for one in examined)
    plural = "" if number == 1 else "s"
    text = f"{number or 'no'} problem{plural} in {every} findings"
    lines.print(text, markup=False)


def _weight(level: str) -> int:
    return len(ORDER) - ORDER.index(level) if level in ORDER else 0


def _row(finding: Finding, path: str) -> tuple[str, str, str]:
    where = finding.where
    if path and where.startswith(path):
        where = where.removeprefix(path).strip("/ ")
    # A line break in a file's text would pretend to be the advice.
    text = " ".join(finding.text.split())
    if finding.advice:
        text += f"\n-> {finding.advice}"
    return MARKS.get(finding.level, finding.level), where, text
