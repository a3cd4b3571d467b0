"""Docstrings are plain text: formulas and tables in them keep their look.

An indented block becomes a literal one, lines between `|` a table, and characters that
reStructuredText takes for markup are escaped. Runs before napoleon, which reads "Args:"
and its like.
"""

import re

SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes):$")
# Outside of `code` and of "**keywords:": emphasis, references and substitutions.
MARKUP = re.compile(r"`[^`]*`|^ +\*+(?=\w+:)|(?<=\w)_(?!\w)|[*|\\]")


def setup(app):
    app.connect("autodoc-process-docstring", process, priority=100)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}


def process(app, what, name, object_, options, lines):
    lines[:] = literal_blocks(lines)


def skip(app, what, name, object_, skipped, options):
    """Fields of named tuples: their docstring is "Alias for field number 0"."""
    about = getattr(object_, "__doc__", None) or ""
    return True if about.startswith("Alias for field number") else None


def literal_blocks(lines: list[str]) -> list[str]:
    """The lines, with `::` before indented blocks and with tables as such."""
    result, block = [], []
    in_section = False
    for line in [*lines, ""]:
        in_section = SECTION.match(line) is not None or (
            in_section and (not line or line[0] == " ")
        )
        kind = "text" if in_section or not line else line[0]
        if block and line and kind != block[0][0]:
            result += _directive(block)
            block = []
        if kind in (" ", "|") or (block and not line):
            block.append(line)
        else:
            result.append(_escaped(line))
    return result + _directive(block)


def _directive(block: list[str]) -> list[str]:
    if not any(block):
        return block
    if block[0].startswith("|"):
        is_table = len(block) > 2 and block[1].startswith("|-")
        rows = [line for line in block if line]
        return _table(rows) if is_table else [*map(_escaped, rows), ""]
    return ["", "::", "", *("   " + line if line else line for line in block), ""]


def _table(rows: list[str]) -> list[str]:
    """Of Markdown, whose second row is the line below the head."""
    text = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in [rows[0], *rows[2:]]:
        first, *rest = (_escaped(cell.strip()) for cell in row.split("|")[1:-1])
        text += [f"   * - {first}", *(f"     - {cell}" for cell in rest)]
    return [*text, ""]


def _escaped(line: str) -> str:
    if line.lstrip().startswith((">>>", "...")):
        return line
    return MARKUP.sub(lambda m: m[0] if m[0][0] in "` " else "\\" + m[0], line)
