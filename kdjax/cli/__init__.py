"""One file per subcommand; each has `main(argv) -> exit code`."""

import argparse
import pathlib
import sys


def program() -> str:
    """How the user calls kdjax: by its script, or as a module."""
    is_script = pathlib.Path(sys.argv[0]).stem == "kdjax"
    return "kdjax" if is_script else "python -m kdjax"


class Parser(argparse.ArgumentParser):
    """Of one command: its help by example, its errors in one line.

    Options may be written with dashes or underscores, however they are listed.
    """

    command = ""  # of those that argparse makes itself
    _typed: list[str] = []  # the words that are being parsed

    def parse_known_args(self, args=None, namespace=None):
        """As argparse's, of options in either spelling."""
        words = sys.argv[1:] if args is None else list(args)
        end = words.index("--") if "--" in words else len(words)
        words[:end] = map(self._spelt, words[:end])
        self._typed = words[:end]
        return super().parse_known_args(words, namespace)

    def parse_args(self, args=None, namespace=None):
        """As argparse's; what is no option is an error that names the nearest one."""
        options, others = self.parse_known_args(args, namespace)
        if others:
            self.refuse(others)
        return options

    def refuse(self, words: list[str]):
        """Ends the command because of words that no option is."""
        from kdjax.cli import usage

        self.error(usage.unknown(self, words))

    def error(self, message: str):
        """Ends the command with one line and exit code 2."""
        from kdjax.cli import usage

        if message.startswith("the following arguments are required"):
            # What is missing may be there, misspelt.
            names = [word for word in self._typed if word.startswith("--")]
            options = self._option_string_actions
            names = [name for name in names if name.partition("=")[0] not in options]
            message = usage.unknown(self, names) if names else message
        usage.show_error(self, message)
        self.exit(2)

    def format_help(self) -> str:
        """The docstring, with examples first, and the options."""
        if not self.command:
            return super().format_help()
        from kdjax.cli import usage

        return usage.page(self)

    def print_help(self, file=None):
        from kdjax.cli.usage import STYLES
        from kdjax.reporting.colour import show

        show(self.format_help(), file or sys.stdout, STYLES)

    def options(self) -> list[str]:
        """All that it takes: --workdir, -h."""
        return list(self._option_string_actions)

    def sections(self):
        """Its options with their help, as argparse lays them out."""
        formatter = self._get_formatter()
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            formatter.add_arguments(group._group_actions)
            formatter.end_section()
        return formatter.format_help().strip("\n")

    def _spelt(self, word: str) -> str:
        """The word with an option's name as it is listed."""
        name, equals, value = word.partition("=")
        options = self._option_string_actions
        if not name.startswith("--") or name in options:
            return word
        for old, new in (("-", "_"), ("_", "-")):
            if (other := "--" + name[2:].replace(old, new)) in options:
                return other + equals + value
        return word


def parser(command: str, description: str) -> Parser:
    """A parser that shows the command's own docstring and takes no abbreviations."""
    how = {"description": description, "allow_abbrev": False}
    result = Parser(f"{program()} {command}", **how)
    result.command = command
    return result
