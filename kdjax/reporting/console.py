"""Consoles and tables for terminals of any encoding, and names from anyone in them.

What is printed goes through `say`, `plain` or `table`: names of runs and files may hold
what a terminal obeys or rich reads as markup.
"""

import sys
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdjax.contracts import printable


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Prints no more; rich would end the process."""
        self.quiet = True


def console(stream=None, **options) -> Console:
    """A console, by default on stdout; characters its encoding lacks become "?"."""
    file = _tolerant(stream)
    return _Console(file=file, highlight=False, emoji=False, **options)


def say(text: str, stream=None) -> None:
    """Prints a text as it is, by default on stdout, as `console` does."""
    print(printable(text), file=_tolerant(stream), flush=True)


def plain(text: str, style: str = "") -> Text:
    """A text for a rich console, which is shown as it is."""
    return Text(printable(text), style)


def _tolerant(stream):
    stream = stream or sys.stdout
    if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    return stream


def table(
    columns: Iterable[str],
    rows: Iterable[Iterable[str]],
    left: Collection[str],
    no_wrap: bool = False,
    styles: Mapping[str, str] = MappingProxyType({}),
    **options,
) -> Table:
    """A table of texts, which are shown as they are.

    Columns stand to the right but those whose headings are in `left`. `styles` are of
    cells with these texts, where the terminal has colours. Options are those of
    `rich.table.Table`.
    """
    result = Table(**options)
    for column in columns:
        justify = "left" if column in left else "right"
        # Folded, where a terminal is narrow: names of trials differ at their ends.
        result.add_column(
            plain(column), justify=justify, no_wrap=no_wrap, overflow="fold"
        )
    for row in rows:
        result.add_row(*(plain(cell, styles.get(cell, "")) for cell in row))
    return result
