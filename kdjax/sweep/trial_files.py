"""The rows of a sweep from a file: one JSON object a line, of what differs in a row.

    {"method.temperature": 4.0, "seed": 1}
    {"name": "tau20-long", "method.temperature": 20.0, "total_epochs": 240.0}

Keys are dotted keys of the config, values what `--config.KEY` would be. A row is called
as its line says, or after its keys and values, as a grid's is.
"""

import json
import pathlib

from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.experiment.schema import plain
from kdjax.sweep.axes import LABEL, read_axes
from kdjax.sweep.trials import Row, check_rows, make_rows


def read_rows(config: ConfigDict, path: pathlib.Path) -> list[Row]:
    """The rows in the order of their lines; empty lines are none.

    Raises:
      InputError: the file cannot be read, or a line does not fit the config.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--rows: cannot read {path}: {error}.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(_row(config, line))
            except InputError as error:
                raise InputError(f"--rows: line {number} of {path}: {error}") from error
    if not rows:
        raise InputError(f"--rows: {path} has no line; expected a JSON object on each.")
    check_rows(rows)
    return rows


def _row(config: ConfigDict, line: str) -> Row:
    try:
        given = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{error}; expected one JSON object.") from error
    if not isinstance(given, dict):
        raise InputError(f"{line.strip()!r} is no JSON object.")
    name = given.pop("name", None)
    if name is not None and not (isinstance(name, str) and LABEL.fullmatch(name)):
        raise InputError(
            f"name is {name!r}; expected letters, digits, dots, dashes and underscores."
        )
    axes = {key: (plain(value),) for key, value in given.items()}
    if not axes:
        raise InputError("it changes no key of the config; expected one at least.")
    (row,) = make_rows(config, read_axes(axes, []))
    if name is None:
        return row
    return row._replace(name=name, cells={"row": name} | row.cells)
