"""Docstrings are plain text: formulas and tables in them keep their look.

An indented or `|` block becomes a literal one, and characters that reStructuredText
takes for markup are escaped. Runs before napoleon, which reads "Args:" and its like.
"""

import re

SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes):$")
# Outside of `code`: emphasis, references and substitutions.
MARKUP = re.compile(r"`[^`]*`|(?<=\w)_(?!\w)|[*|\\]")


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
    """The lines, with `::` before each block that is no prose."""
    result, block = [], []
    in_section = False
    for line in [*lines, ""]:
        in_section = SECTION.match(line) is not None or (
            in_section and (not line or line[0] == " ")
        )
        if not in_section and line.startswith((" ", "|")):
            block.append(line)
        elif block and not line:
            block.append(line)
        else:
            result += _literal(block)
            block = []
            result.append(_escaped(line))
    return result + _literal(block)


def _literal(block: list[str]) -> list[str]:
    if not any(block):
        return block
    return ["", "::", "", *("   " + line if line else line for line in block), ""]


def _escaped(line: str) -> str:
    if line.lstrip().startswith((">>>", "...")):
        return line
    return MARKUP.sub(lambda m: m[0] if m[0][0] == "`" else "\\" + m[0], line)
