"""One file per subcommand; each has `main(argv) -> exit code`."""

import argparse


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser that shows the command's own docstring and takes no abbreviations."""
    return argparse.ArgumentParser(
        f"python -m kdjax {command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
