"""python -m kdjax report: a table, two figures and a page of finished runs.

python -m kdjax report WORKDIR [WORKDIR ...] --output=DIR [--title=TEXT]
"""

import pathlib

from kdjax import cli
from kdjax.reporting.page import write_report
from kdjax.reporting.results import read_results
from kdjax.reporting.table import print_table


def main(argv: list[str]) -> int:
    parser = cli.parser("report", __doc__)
    parser.add_argument("workdirs", nargs="+", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--title", default="Knowledge distillation")
    options = parser.parse_args(argv)
    results = [row for workdir in options.workdirs for row in read_results(workdir)]
    print_table(results)
    for path in write_report(results, options.output, options.title):
        print(f"wrote {path}")
    return 0
