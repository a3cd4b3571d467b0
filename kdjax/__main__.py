"""kdjax COMMAND, or python -m kdjax COMMAND; imports the command that is called."""

import contextlib
import difflib
import errno
import importlib
import io
import keyword
import sys
from collections.abc import Callable

import kdjax
from kdjax import cli, signals

COMMANDS = {
    "train": "train a teacher, or students with one teacher; resumes",
    "sweep": "train a grid of settings in as few programs as possible; resumes",
    "cache": "store a teacher's outputs, to train students from them",
    "evaluate": "score a run's networks; prints one JSON line",
    "select": "choose training samples: clean labels, or useful ones",
    "analyse": "how students differ from their teacher: distances, norms, planes",
    "import": "weights from elsewhere as a teacher",
    "export": "a network of a run as safetensors, StableHLO or ONNX",
    "prepare": "convert a data set to the format that training reads",
    "bench": "how fast a pair trains here, against the hardware's limits",
    "compile": "memory and time that a training needs on any devices; runs on none",
    "doctor": "what is wrong with a directory, a file or this machine",
    "report": "one page on runs: results, comparison, curves",
    "reproduce": "train and tabulate the studies of the papers; resumes",
}


# Of a disk that is full, over its quota, read-only or broken.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
# What these print is all that they do: it must not be lost without a word.
ANSWERS = ("evaluate", "bench", "compile")


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    A user's error and a signal are one line each, a bug a traceback. Without `argv` the
    command is this process's, which ends afterwards.
    """
    is_process = argv is None
    if is_process:
        from kdjax.cli import output

        output.tolerate()
        argv = sys.argv[1:]
    if argv[:1] == ["help"] and len(argv) > 1:
        argv = [argv[1], "--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # shows any name somehow
            stream.reconfigure(errors="backslashreplace")
    program = " ".join(["kdjax", *argv[:1]])
    # A signal while modules are imported ends the process, if it is the command's.
    with signals.watched(program, final=is_process, starting=is_process):
        try:
            command = _command(argv)
            signals.started()
            code = command if isinstance(command, int) else command(argv[1:])
        except BaseException as error:  # a signal's is no Exception, and has its code
            # Whatever a signal's exception has become on its way.
            code = signals.ending() or exit_code(program, error)
            if code is None:
                raise
        if is_process:
            signals.leave()
        signals.finished()
    if is_process and code == 0 and argv[0] in ANSWERS:
        code = _answered(argv[0])
    return code


def _command(argv: list[str]) -> Callable[[list[str]], int] | int:
    """The function of a command, or the exit code where the usage is printed."""
    name = argv[0] if argv else ""
    if name in ("-V", "--version", "version"):
        print(_version())
        return 0
    if name in ("", "-h", "--help", "help"):
        from kdjax.cli.usage import STYLES
        from kdjax.reporting.colour import show

        show(_usage(cli.program()), sys.stdout, STYLES)
        return 0 if argv else 2
    if name not in COMMANDS:
        from kdjax.reporting.colour import show_error

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        if name.startswith("-"):
            hint = " The command comes before its options."
        text = f"{name!r} is not a command.{hint} There are {', '.join(COMMANDS)}."
        show_error("kdjax", text)
        return 2
    # `import` is a keyword of Python, so its module is `import_`.
    module = f"kdjax.cli.{name}{'_' * keyword.iskeyword(name)}"
    return importlib.import_module(module).main


def _usage(program: str) -> str:
    """What there is to type, and what the exit codes mean."""
    from kdjax.cli.examples import ALL

    examples = "\n".join(ALL).replace("kdjax ", f"{program} ").replace("\n", "\n  ")
    listed = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    return (
        f"usage: {program} COMMAND [options]\n\nExamples:\n  {examples}\n\nCommands:\n"
        f"{listed}\n\n{program} COMMAND --help describes a command. Exit codes: 0\n"
        "finished, 2 bad input, 3 too many steps skipped or NaN at the end, 4\n"
        "storage, 42 stopped with its state saved (run it again), 129, 130 or 143\n"
        "stopped by a signal before there was a state, 1 a bug.\n"
    )


def _version() -> str:
    """Of kdjax, Python and JAX, which is not imported for it."""
    import platform
    from importlib import metadata

    parts = [f"Python {platform.python_version()}"]
    for name in ("jax", "flax"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            parts.append(f"{name} {metadata.version(name)}")
    return f"kdjax {kdjax.__version__} ({', '.join(parts)})"


def _answered(name: str) -> int:
    """0, or 4 where a disk did not take what was printed."""
    from kdjax.cli import output

    sys.stdout.flush()
    if not (error := output.lost(sys.stdout)):
        return 0
    print(f"kdjax {name}: its result could not be printed: {error}", file=sys.stderr)
    return 4


def exit_code(name: str, error: BaseException) -> int | None:
    """Prints an error of users, data or disks as a line; None for a bug."""
    # Brings JAX, which --help does not need.
    from kdjax.contracts import InputError, exit_code_of, printable
    from kdjax.reporting.colour import show_error
    from kdjax.user_code import described, is_at_fault

    code, text = exit_code_of(error), str(error)
    if is_at_fault(error):
        code, text = InputError.exit_code, described(error)
    if isinstance(error, ModuleNotFoundError):
        text = (
            f"the package {error.name} is not installed; commands need more than the "
            "losses do: pip install 'PATH/TO/kdjax[train]', the path of your clone"
        )
    if isinstance(error, OSError) and error.errno in DISK:
        text += (
            ". What was saved before is there; the same command goes on from it when "
            "the disk can be written again."
        )
    if code is not None:
        show_error(name, printable(text))
    return code


if __name__ == "__main__":
    sys.exit(main())
