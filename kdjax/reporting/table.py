"""The table of a comparison, for a terminal."""

from rich.console import Console
from rich.table import Table

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
            f"{result.metrics['agreement']:.2f}" if result.teacher_outputs else "-",
            f"{result.seconds / result.students:.1f}",
        )
        for name, result in zip(labels(results), results, strict=True)
    ]


def caption(results: list[Result]) -> str:
    """Says what shared a program and what the seconds mean."""
    programs = {r.run: r for r in results if r.students > 1}
    parts = [
        f"{r.students} students of '{r.run}' trained in one program in "
        f"{r.seconds:.1f} s, data and teacher forward paid once; seconds is each one's "
        "equal share."
        for r in programs.values()
    ]
    return " ".join(parts)


def print_table(results: list[Result], stream=None) -> None:
    """Prints the comparison."""
    table = Table(caption=caption(results) or None, caption_justify="left")
    for column in COLUMNS:
        numeric = column.endswith("%") or column == "seconds"
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows(results):
        table.add_row(*row)
    Console(file=stream, highlight=False).print(table)
