"""What a parser prints: help by example, and errors that name the nearest word."""

import difflib
import re
import shutil
import textwrap

from kdjax.cli import Parser
from kdjax.cli.examples import EXAMPLES
from kdjax.reporting import colour

MODULE = "python -m kdjax"  # as docstrings call it
# What argparse says -> what it means. Quotes and lists differ by the Python.
_REASONS = (
    (
        r"argument (?P<what>\S+): invalid (?P<kind>\w+) value: (?P<came>.*)",
        "{what} is {came}; expected {kind}.",
    ),
    (
        r"argument (?P<what>\S+): invalid choice: (?P<came>.*?) \(choose from "
        r"(?P<choices>.*)\)",
        "{what} is {came}; expected one of {choices}.{near}",
    ),
    (
        r"argument (?P<what>\S+): expected one argument",
        "{what} has no value; expected {what}=VALUE.",
    ),
    (
        r"argument (?P<what>\S+): not allowed with argument (?P<other>.*)",
        "{what} and {other} are both given; expected one of them.",
    ),
    (
        r"the following arguments are required: (?P<what>.*)",
        "missing: {what}.{example}",
    ),
)
_KINDS = {"int": "a whole number", "float": "a number"}
STYLES = (
    (r"(?m)^[A-Za-z][a-z ]+:(?=$| python| kdjax)", "bold"),  # headings
    (r"(?<![\w-])--[A-Za-z][\w-]*(\.\w+)*", "cyan"),
)


def page(parser: Parser) -> str:
    """The help of a command: its docstring, with examples first, and its options."""
    width = min(shutil.get_terminal_size().columns, 100)
    summary, form, *text = _parts(parser, width)
    examples = "\n".join(["Examples:", *_examples(parser)])
    parts = [summary, examples, form, *text, parser.sections()]
    if parser.epilog:
        parts += [_filled(one, width) for one in parser.epilog.split("\n\n")]
    return "\n\n".join(parts) + "\n"


def unknown(parser: Parser, words: list[str]) -> str:
    """What is wrong with words that no option is."""
    word = next((one for one in words if one.startswith("-")), None)
    if word is None:
        text = f"{words[0]!r} is no option; expected --NAME=VALUE."
        return text + _example(parser)
    (name, equals, value), options = word.partition("="), parser.options()
    if not equals:  # as in --name value
        after = [*words[words.index(word) + 1 :], "-"][0]
        value = "VALUE" if after.startswith("-") else after
    from kdjax.experiment import aliases, schema

    bare, config = name.lstrip("-"), schema.nested()
    key = aliases.key_of(bare, config) if "--config" in options else ""
    if key:
        hint = f" It is a key of the config, which --config.{key}={value} sets."
    elif aliases.is_workdir(bare) and "--workdir" in options:
        hint = " Did you mean --workdir?"
    else:
        hint = _near(name, [one for one in options if one not in ("-h", "--help")])
    return f"there is no option {name}.{hint}"


def show_error(parser: Parser, message: str) -> None:
    """Prints what argparse complains of, in our words, on one line."""
    name = f"kdjax {parser.command}" if parser.command else parser.prog
    text = _reason(parser, message)
    end = "" if text.endswith((".", "?")) else "."
    colour.show_error(name, f"{text}{end} {parser.prog} --help lists all.")


def _reason(parser: Parser, message: str) -> str:
    for pattern, text in _REASONS:
        if match := re.fullmatch(pattern, message, re.DOTALL):
            facts = match.groupdict()
            if "choices" in facts:
                choices = facts["choices"].replace("'", "").split(", ")
                facts["near"] = _near(facts["came"].strip("'"), choices)
                facts["choices"] = ", ".join(choices)
            facts["kind"] = _KINDS.get(facts.get("kind"), facts.get("kind"))
            return text.format(**facts, example=_example(parser))
    return message


def _near(word: str, names) -> str:
    """The nearest name; dashes before it count for nothing."""
    bare = {name.lstrip("-"): name for name in names}
    close = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=0.7)
    return f" Did you mean {bare[close[0]]}?" if close else ""


def _start(parser: Parser) -> str:
    """How the user calls kdjax."""
    return parser.prog.removesuffix(parser.command).rstrip()


def _examples(parser: Parser) -> list[str]:
    """Lines of the examples of a command, as the user calls it."""
    text = "\n".join(EXAMPLES[parser.command])
    text = text.replace("kdjax ", f"{_start(parser)} ")
    return textwrap.indent(text, "  ").split("\n")


def _example(parser: Parser) -> str:
    """The end of an error."""
    first = EXAMPLES.get(parser.command, ("",))[0].replace("\\\n", " ")
    first = first.replace("kdjax ", f"{_start(parser)} ")
    return f" For example: {' '.join(first.split())}" if first else ""


def _parts(parser: Parser, width: int) -> list[str]:
    """What a command does, its usage, and the rest of its docstring."""
    summary, *rest = parser.description.strip().split("\n\n")
    form, start = "", _start(parser)
    if rest and rest[0].lstrip().startswith(f"{MODULE} {parser.command}"):
        form = rest.pop(0)
    summary, form = (one.replace(MODULE, start) for one in (summary, form))
    rest = [_filled(one.replace(MODULE, start), width) for one in rest]
    return [_filled(summary, width), _usage(form, parser.prog, width), *rest]


def _usage(text: str, program: str, width: int) -> str:
    """Forms of a command, each a line that is broken between its options."""
    forms: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith(program) or not forms:
            forms.append(line)
        else:
            forms[-1] += f" {line}"
    lines = []
    for form in forms or [f"{program} [options]"]:
        start = "usage: " if not lines else "       "
        words = re.findall(r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]\S*|\S+", form)
        line, indent = start, " " * (7 + len(program))
        for word in words:
            if len(line) + len(word) + 1 > width and line.strip():
                lines.append(line)
                line = indent
            line += word if line == start else f" {word}"
        lines.append(line)
    return "\n".join(lines)


def _filled(paragraph: str, width: int) -> str:
    """A paragraph as wide as the terminal; one of indented lines keeps its lines."""
    lines = paragraph.strip("\n").splitlines()
    if not any(line.startswith(" ") for line in lines):
        return textwrap.fill(" ".join(lines), width, break_on_hyphens=False)
    result = []
    for line in lines:
        columns = re.match(r" *\S+(?: \S+)*? {2,}", line)
        deeper = len(columns[0]) if columns else len(line) - len(line.lstrip()) + 4
        wrapped = textwrap.wrap(
            line,
            width,
            subsequent_indent=" " * deeper,
            break_on_hyphens=False,
            break_long_words=False,
        )
        result += wrapped or [""]
    return "\n".join(result)
