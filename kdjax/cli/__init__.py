"""One file per subcommand; each has `main(argv) -> exit code`."""

import argparse
import pathlib
import sys


def program() -> str:
    """How the user calls kdjax: by its script, or as a module."""
    is_script = pathlib.Path(sys.argv[0]).stem == "kdjax"
    return "kdjax" if is_script else "python -m kdjax"


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser that shows the command's own docstring and takes no abbreviations."""
    return argparse.ArgumentParser(
        f"{program()} {command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
