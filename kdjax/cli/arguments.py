"""The options of every command that reads a config."""

import argparse

from kdjax import paths
from kdjax.distributed import runtime


def add_config(parser: argparse.ArgumentParser, workdir: str) -> None:
    """Adds --config, --workdir (with its help) and the options of `add_data`."""
    parser.add_argument("--config", required=True, help="Python file with get_config")
    parser.add_argument("--workdir", required=True, help=workdir)
    add_data(parser)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds --data_dir, --devices, --allow_code and what several processes need."""
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="of each process, on CPUs only")
    add_allow_code(parser)
    runtime.add_flags(parser)


def add_allow_code(parser: argparse.ArgumentParser) -> None:
    """Adds --allow_code: which functions a workdir may name as its networks."""
    text = "a network of your own that a workdir names, which runs: package.module:"
    text += "function, several with commas; what is built in needs none"
    parser.add_argument("--allow_code", default="", help=text, metavar="NAME")


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Adds --weights, of a run that averages them."""
    from kdjax.checkpoints import WEIGHTS  # brings Orbax

    text = "default: ema, the average, of a run that has one"
    parser.add_argument("--weights", default="", choices=WEIGHTS, help=text)


def parse(parser: argparse.ArgumentParser, argv: list[str]):
    """Parses argv, overrides included: (options, config); the workdir is a path."""
    # Only here: `evaluate` reads no config and does without ml_collections.
    from kdjax.experiment.overrides import load_config, set_override, split_overrides

    rest, overrides = split_overrides(argv)
    parser.epilog = _description(rest)
    options = parser.parse_args(rest)
    config = load_config(options.config, overrides)
    if options.data_dir:
        data_dir = str(paths.resolve(options.data_dir, "--data_dir"))
        set_override(config, "data.data_dir", data_dir)
    if options.allow_code:
        named = (*config.get("allow_code", ()), options.allow_code)
        set_override(config, "allow_code", repr(named))
    options.workdir = paths.resolve(options.workdir, "--workdir")
    return options, config


def _description(argv: list[str]) -> str | None:
    """Of the config that --help is called with, as it says of itself."""
    if not {"-h", "--help"} & set(argv):
        return None
    from kdjax.experiment.overrides import describe_config

    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    given.add_argument("--config")
    spec = given.parse_known_args(argv)[0].config
    return describe_config(spec) if spec else None
