"""RESULTS.md pages: where they are, their sections and their tables."""

import pathlib
import statistics
from collections.abc import Iterable, Sequence

from kdjax.contracts import InputError
from kdjax.reporting.files import replace

CHECKOUT = pathlib.Path(__file__).parents[2]


def configs(data_set: str) -> pathlib.Path:
    """The directory of a data set's configs and page, which only a checkout has."""
    path = CHECKOUT / "configs" / data_set
    if not path.is_dir():
        raise InputError(
            f"there is no {path}: configs and RESULTS.md come with a checkout of "
            "kdjax's repository, not with an installed package. Run it in a checkout; "
            "cifar100 and repdistiller also run anywhere else with --results=DIR."
        )
    return path


def write_section(path: pathlib.Path, text: str, name: str) -> None:
    """Puts a section between its two marks, at the end where they are missing."""
    old = path.read_text() if path.exists() else ""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n\n{text}\n\n{end}"
    if begin in old and end in old:
        head, rest = old.split(begin, 1)
        new = head + section + rest.split(end, 1)[1]
    else:
        new = f"{old.rstrip()}\n\n{section}\n".lstrip()
    replace(path, new)


def table(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def spread(values: Iterable[float], sign: str = "") -> str:
    """Mean and sample standard deviation; the mean alone of a single value."""
    values = list(values)
    mean = f"{statistics.fmean(values):{sign}.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if values[1:] else mean
