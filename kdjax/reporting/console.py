"""Consoles and tables for terminals of any encoding."""

import sys
from collections.abc import Collection, Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Prints no more; rich would end the process."""
        self.quiet = True


def console(stream=None, **options) -> Console:
    """A console, by default on stdout; characters its encoding lacks become "?"."""
    return _Console(file=_tolerant(stream), highlight=False, **options)


def say(text: str, stream=None) -> None:
    """Prints a text as it is, by default on stdout, as `console` does."""
    print(text, file=_tolerant(stream), flush=True)


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
    **options,
) -> Table:
    """A table of texts, whose square brackets are shown.

    Columns stand to the right but those whose headings are in `left`. Options are those
    of `rich.table.Table`.
    """
    result = Table(**options)
    for column in columns:
        justify = "left" if column in left else "right"
        result.add_column(column, justify=justify, no_wrap=no_wrap)
    for row in rows:
        result.add_row(*map(escape, row))
    return result
