"""The table of a comparison, for a terminal."""

from rich.markup import escape

from kdjax.reporting.console import console, table
from kdjax.reporting.results import Result, labels

COLUMNS = ("", "network", "method", "test top-1 %", "agreement %", "seconds")


def rows(results: list[Result]) -> list[tuple[str, ...]]:
    """The cells; seconds is a student's equal share of its program's time."""
    return [
        (
            name,
            result.model,
            result.method,
            f"{result.metrics['top1']:.2f}",
            f"{result.metrics['agreement']:.2f}" if result.has_teacher else "-",
            f"{result.seconds / result.students:.1f}",
        )
        for name, result in zip(labels(results), results, strict=True)
    ]


def caption(results: list[Result]) -> str:
    """Says what shared a program and what the seconds mean."""
    programs = {r.run: r for r in results if r.students > 1}
    return " ".join(
        f"{r.students} students of '{r.run}' trained in one program in "
        f"{r.seconds:.1f} s, data and teacher forward paid once; seconds is each one's "
        "equal share."
        for r in programs.values()
    )


def print_table(results: list[Result], stream=None) -> None:
    """Prints the comparison."""
    text = escape(caption(results)) or None
    style = {"caption": text, "caption_justify": "left"}
    console(stream).print(table(COLUMNS, rows(results), COLUMNS[:3], **style))
