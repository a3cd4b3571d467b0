"""The sections of `report` for which networks are run, and their options."""

import argparse
import sys

from kdjax.cli import arguments
from kdjax.reporting.blocks import Section
from kdjax.reporting.console import say
from kdjax.reporting.runs import Run


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no_networks",
        action="store_true",
        help="leave out what runs the networks: projections, disagreement and others",
    )
    parser.add_argument("--classes", default="", help="three, for the projection")
    parser.add_argument("--data_dir", help="TFDS data; default: where the runs had it")
    arguments.add_allow_code(parser)


def sections(runs: list[Run], options: argparse.Namespace) -> list[Section]:
    """Those of the runs' networks; none where the options do without.

    Nor where JAX gets no device, as beside a training that has the TPU: that is said.
    """
    if options.no_networks:
        return []
    # Only here: a page without them starts no device.
    import jax

    from kdjax.experiment.builders import allow_code
    from kdjax.runner.evidence import TITLE, evidence_sections

    try:
        jax.devices()
    except RuntimeError as error:
        why = (
            f"all that runs networks: {' '.join(str(error).split())} "
            "Expected a free device, or the CPU: JAX_PLATFORMS=cpu."
        )
        say(f"report: left out: {why}", sys.stderr)
        return [Section(TITLE, [f"Left out: {why}"])]
    with allow_code(options.allow_code):
        return evidence_sections(
            runs, classes=options.classes, data_dir=options.data_dir
        )
