"""Colour where a terminal has it; it imports no JAX, so that --help is instant."""

import contextlib
import os
import re
import sys


def show(text: str, stream, styles=()) -> None:
    """Prints; in colour on a terminal that has it, as NO_COLOR and TERM say.

    `styles` are (pattern, style of rich) of what is to stand out.
    """
    console = None
    if stream.isatty() or os.environ.get("FORCE_COLOR"):
        # Rich is an extra, and takes a while to import.
        with contextlib.suppress(ImportError):
            from rich.console import Console
            from rich.text import Text

            console = Console(file=stream, emoji=False)
    if console is None:
        print(text, end="", file=stream, flush=True)
        return
    coloured = Text(text)
    for pattern, style in styles:
        coloured.highlight_regex(pattern, style)
    console.print(coloured, end="", soft_wrap=True)


def show_error(program: str, text: str) -> None:
    """Prints "program: text" to stderr as one line, the program in red."""
    styles = ((rf"\A{re.escape(program)}:", "bold red"),)
    show(f"{program}: {text}\n", sys.stderr, styles)
