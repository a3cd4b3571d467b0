"""python -m kdjax.reproduce STUDY: see `kdjax.reproduce.run`, which is imported within."""

import importlib
import sys

from kdjax.__main__ import exit_code


def main(argv: list[str]) -> int:
    """A user's error is one line, also that a package is missing."""
    return exit_code(
        "launch", lambda: importlib.import_module("kdjax.reproduce.run").main(argv)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
