"""python -m kdjax doctor: what is wrong with a directory, a file or this machine.

  python -m kdjax doctor [PATH ...] [--json] [--quick]

PATH is the --workdir of a train, sweep, select, import or cache, a prepared data set
(its directory or that of several, or an .npz file), or a file of weights; local or in a
bucket. Without one only the machine is looked at: devices, versions, memory, limits,
disks, clock, environment. What a run was made from (images, teacher, cache) is compared
with what lies there now. Nothing is changed, no network is built, and no pickle is
opened but by PyTorch's own restricted reader.

All checksums are compared; --quick looks only whether everything is there. Exit code 0:
no problem; 2: there is one. --json prints one document instead of the table.
"""

from kdjax import cli, paths
from kdjax.doctor import report
from kdjax.doctor.examine import examine


def main(argv: list[str]) -> int:
    parser = cli.parser("doctor", __doc__)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="none: the machine")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--quick", action="store_true", help="without checksums")
    options = parser.parse_args(argv)
    examined = examine([paths.resolve(p, "PATH") for p in options.paths], options.quick)
    if options.json:
        print(report.as_json(examined))
    else:
        report.print_tables(examined)
    return 2 if report.count(examined) else 0
