"""The sections of `report` for which networks are run, and their options."""

import argparse
import pathlib

from kdjax.cli import arguments
from kdjax.reporting.blocks import Section


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no_networks",
        action="store_true",
        help="leave out what runs the networks: projections, disagreement and others",
    )
    parser.add_argument("--classes", default="", help="three, for the projection")
    parser.add_argument("--data_dir", help="TFDS data; default: where the runs had it")
    arguments.add_allow_code(parser)


def sections(
    workdirs: list[pathlib.Path], options: argparse.Namespace
) -> list[Section]:
    """Those of the runs' networks; none where the options do without."""
    if options.no_networks:
        return []
    # Only here: a page without them needs no JAX.
    from kdjax.distributed import devices
    from kdjax.experiment.builders import allow_code
    from kdjax.runner.evidence import evidence_sections

    # Batches are padded, so any number of devices will do.
    devices.configure(None, 0)
    with allow_code(options.allow_code):
        return evidence_sections(
            workdirs, classes=options.classes, data_dir=options.data_dir
        )
