"""RESULTS.md pages: where they are, their sections and their tables."""

import pathlib
import re
import statistics
from collections.abc import Iterable, Sequence

from kdjax.contracts import InputError, printable
from kdjax.reporting.files import replace

# An underscore within a word is one; "~" and "$" alone are as well.
_MARKUP = re.compile(r"[\\|`*\[\]]|~(?=~)|\$(?=\S)|\b_|_\b")
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
    """A Markdown table, whose cells are shown as they are."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(plain, row)) + " |" for row in rows]
    return "\n".join(lines)


def plain(text: object) -> str:
    r"""A text as Markdown shows it: no table, link, emphasis or HTML of its own.

    >>> plain("a|b <img> lr_mse *")
    'a\\|b &lt;img> lr_mse \\*'
    """
    one_line = " ".join(printable(str(text)).split("\n"))
    return _MARKUP.sub(r"\\\g<0>", one_line).replace("<", "&lt;")


def code(text: str) -> str:
    """A text as code in a line of Markdown, whatever backticks it has."""
    one_line = " ".join(printable(text).split("\n"))
    longest = max(map(len, re.findall("`+", one_line)), default=0)
    fence, space = "`" * (longest + 1), " " * (longest > 0)
    return f"{fence}{space}{one_line}{space}{fence}"


def spread(values: Iterable[float], sign: str = "") -> str:
    """Mean and sample standard deviation; the mean alone of a single value."""
    values = list(values)
    mean = f"{statistics.fmean(values):{sign}.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if values[1:] else mean
