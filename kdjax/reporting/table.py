"""The table of a comparison, for a terminal."""

from rich.console import Console
from rich.table import Table

from kdjax.reporting.results import Result, label

COLUMNS = ("", "network", "method", "test top-1 %", "agreement %", "seconds")


def cells(result: Result) -> tuple[str, ...]:
    """One row; seconds is the student's equal share of its program's time."""
    agreement = result.metrics.get("agreement")
    return (
        label(result),
        result.model,
        result.method,
        f"{result.metrics['top1']:.2f}",
        "-" if agreement is None else f"{agreement:.2f}",
        f"{result.seconds / result.students:.1f}",
    )


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
    for result in results:
        table.add_row(*cells(result))
    Console(file=stream, highlight=False).print(table)
