"""python -m kdjax report: a table, two figures and a page of finished runs.

python -m kdjax report WORKDIR [WORKDIR ...] --output=DIR [--title=TEXT]
"""

from kdjax import cli, paths
from kdjax.reporting.console import say
from kdjax.reporting.page import write_report
from kdjax.reporting.results import print_table, read_results


def main(argv: list[str]) -> int:
    parser = cli.parser("report", __doc__)
    parser.add_argument("workdirs", nargs="+")
    parser.add_argument("--output", required=True)
    parser.add_argument("--title", default="Knowledge distillation")
    options = parser.parse_args(argv)
    workdirs = [paths.parse(workdir, "WORKDIR") for workdir in options.workdirs]
    output = paths.parse(options.output, "--output")
    results = [row for workdir in workdirs for row in read_results(workdir)]
    print_table(results)
    for path in write_report(results, output, options.title):
        say(f"wrote {path}")
    return 0
