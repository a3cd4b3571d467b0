"""python -m kdjax COMMAND. A command is imported only when it is asked for."""

import difflib
import importlib
import keyword
import sys
from collections.abc import Callable

COMMANDS = {
    "train": "train a teacher, or students against one teacher; resumes",
    "sweep": "train a grid of settings, as few programs as can be; resumes",
    "cache": "write a teacher's answers down, to train students from them",
    "evaluate": "score a run's networks; prints one JSON line",
    "select": "choose training samples: clean labels, or useful ones",
    "analyse": "how students differ from their teacher: distances, norms, planes",
    "import": "weights from elsewhere as a teacher: python -m kdjax import FILE",
    "export": "a network of a run as safetensors, StableHLO or ONNX",
    "prepare": "make a data set readable: python -m kdjax prepare NAME",
    "bench": "how fast a pair trains here, and how far that is from the roof",
    "compile": "what a training asks of its devices, compiled for any, run on none",
    "report": "table, figures and a page from finished runs",
}
USAGE = "usage: python -m kdjax COMMAND [options]\n\n" + "\n".join(
    f"  {name:<10} {text}" for name, text in COMMANDS.items()
)
HELP = f"""{USAGE}

python -m kdjax COMMAND --help tells more. Exit codes: 0 finished, 2 bad input,
3 loss not finite, 4 storage, 42 stopped with its state saved (run it again), 1 a bug.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs one command; a user's error is one line, an error of ours a traceback."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0 if argv else 2
    name, *rest = argv
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        print(f"kdjax: {name!r} is not a command.{hint}\n\n{USAGE}", file=sys.stderr)
        return 2
    # `import` is a word of Python's, so its module has an underscore more.
    command = f"kdjax.cli.{name}{'_' * keyword.iskeyword(name)}"
    try:
        return importlib.import_module(command).main(rest)
    except BaseException as error:  # a signal's is no Exception, and has its code
        return code_of(f"kdjax {name}", error)


def exit_code(name: str, run: Callable[[], int]) -> int:
    """Calls, and turns the errors of users, data and disks into a line and a code."""
    try:
        return run()
    except BaseException as error:  # a signal's is no Exception, and has its code
        return code_of(name, error)


def code_of(name: str, error: BaseException) -> int:
    """Prints an error of a user, data or disk as a line, and raises one of ours."""
    if isinstance(error, ModuleNotFoundError):
        if error.name and error.name.startswith("kdjax"):
            raise error
        print(
            f"{name}: the package {error.name} is not installed; commands need more "
            "than the losses do: pip install '.[train]'",
            file=sys.stderr,
        )
        return 2
    code = 4 if isinstance(error, OSError) else getattr(error, "exit_code", None)
    if code is None:
        raise error
    print(f"{name}: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
