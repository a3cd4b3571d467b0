"""python -m kdjax analyse: how finished students differ from their teacher.

  python -m kdjax analyse WORKDIR [WORKDIR ...] --output=DIR [--split=train]
                          [--classes=maple_tree,oak_tree,willow_tree] [--data_dir=DIR]

A WORKDIR is a run, a sweep, or a directory of them; students without a teacher are left
out. For every student: distance of the logits per sample, its parts of arXiv:2105.08919
(half mean square, delta infinity, their sum), the gap between the means of the logits,
norms of the penultimate features, agreement. Writes analysis.json and three figures:
densities of distances and norms, and three classes in the plane of their weights, by
default those that the teacher confuses most.
"""

import sys

from kdjax import cli, paths
from kdjax.cli import arguments
from kdjax.distributed import devices
from kdjax.experiment.builders import allow_code
from kdjax.reporting.console import say
from kdjax.runner.analyse import analyse


def main(argv: list[str]) -> int:
    parser = cli.parser("analyse", __doc__)
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR")
    parser.add_argument("--output", required=True, help="directory of what is written")
    parser.add_argument("--split", default="", help="default: the run's training split")
    parser.add_argument("--classes", default="", help="three, for the projection")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    arguments.add_allow_code(parser)
    options = parser.parse_args(argv)
    # Batches are padded, so any number of devices will do.
    devices.configure(options.devices, 0)
    output = paths.parse(options.output, "--output")
    workdirs = [paths.resolve(text, "WORKDIR") for text in options.workdirs]
    images = {key: vars(options)[key] for key in ("classes", "split", "data_dir")}
    with allow_code(options.allow_code):
        summaries = analyse(workdirs, output, **images)
    for name, row in summaries.items():
        say(
            f"{name}: median distance {row['logit_distance/median']:.3f}, mean gap "
            f"{row['logit_mean_gap/mean']:.3f}, agreement {row['agreement']:.2f} %"
        )
    say(f"wrote {output}", sys.stderr)
    return 0
