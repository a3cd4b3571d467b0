"""Help by example, options in either spelling, and errors that name the nearest."""

import contextlib
import importlib
import io
import keyword
import pathlib
import re
import shlex

import pytest

from kdjax import cli
from kdjax.__main__ import COMMANDS, main
from kdjax.cli import usage
from kdjax.cli.examples import ALL, EXAMPLES
from kdjax.contracts import InputError
from kdjax.experiment.overrides import load_config, split_overrides
from kdjax.reporting.colour import show

ROOT = pathlib.Path(__file__).parent.parent.parent


class Parsed(Exception):
    """Raised by the parser of a command, in place of what the command would do."""


@pytest.fixture
def parsed(monkeypatch):
    """Runs a command until its options are known, and returns them."""

    def parse_args(self, args=None, namespace=None):
        options, others = self.parse_known_args(args, namespace)
        if others:
            self.refuse(others)
        raise Parsed(options)

    monkeypatch.setattr(cli.Parser, "parse_args", parse_args)

    def run(words):
        name = words[0]
        module = f"kdjax.cli.{name}{'_' * keyword.iskeyword(name)}"
        with pytest.raises(Parsed) as stop:
            importlib.import_module(module).main(words[1:])
        return stop.value.args[0]

    return run


def typed(example):
    return shlex.split(example.replace("\\\n", " "))[1:]


def output(argv):
    """(exit code, stdout, stderr) of a command in this process."""
    streams = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        try:
            code = main(argv)
        except SystemExit as stop:
            code = stop.code
    return code, *(stream.getvalue() for stream in streams)


@pytest.mark.parametrize("columns", (80, 60))
@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_examples_and_fits(name, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, text, _ = output([name, "--help"])
    assert code == 0
    summary, examples, form, *rest = text.split("\n\n")
    assert summary.replace("\n", " ").startswith(f"python -m kdjax {name}: ")
    assert examples.startswith(f"Examples:\n  python -m kdjax {name}")
    assert form.startswith(f"usage: python -m kdjax {name} ")
    assert any(part.startswith(("options:", "positional")) for part in rest)
    lines = [line for line in text.splitlines() if "--" not in line or columns == 80]
    assert max(map(len, lines)) <= columns
    assert output(["help", name])[1] == text


def test_the_usage_fits(monkeypatch):
    code, text, _ = output(["--help"])
    assert code == 0 and max(map(len, text.splitlines())) <= 80
    assert output(["--version"])[1].startswith("kdjax 0")


@pytest.mark.parametrize(
    "example", [one for each in EXAMPLES.values() for one in each] + list(ALL)
)
def test_examples_are_of_options_and_keys_that_there_are(example, parsed):
    words = [word.replace("=configs/", f"={ROOT}/configs/") for word in typed(example)]
    _, overrides = split_overrides(words)
    config = next((w for w in words if w.startswith("--config=")), None)
    if "--help" in words:
        words.remove("--help")
        words += ["--workdir=w"] * (words[0] == "train")
    if words[0] == "reproduce":
        pytest.skip("its own parser of studies: tests/reproduce")
    parsed([word for word in words if not word.startswith("--grid.")])
    if config:
        load_config(config.removeprefix("--config="), overrides)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "reproduce"])
def test_every_option_is_taken_in_either_spelling(name, parsed, monkeypatch):
    parsers = []
    known = cli.Parser.parse_known_args

    def recorded(self, args=None, namespace=None):
        parsers.append(self)
        return known(self, args, namespace)

    monkeypatch.setattr(cli.Parser, "parse_known_args", recorded)
    with (
        contextlib.suppress(SystemExit, Parsed, InputError),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        module = f"kdjax.cli.{name}{'_' * keyword.iskeyword(name)}"
        importlib.import_module(module).main([])
    (parser,) = parsers
    options = [o for o in parser._option_string_actions if o.startswith("--")]
    for option in options:
        for other in (option[2:].replace("_", "-"), option[2:].replace("-", "_")):
            assert parser._spelt(f"--{other}=a_b-c") == f"{option}=a_b-c" or (
                f"--{other}" in options
            )
    assert parser._spelt("--nothing-like=it") == "--nothing-like=it"


@pytest.mark.parametrize("word", ("--data_dir", "--data-dir"))
def test_dashes_and_underscores_are_the_same(word, parsed):
    options = parsed(["evaluate", "--workdir=w", f"{word}=a-b", "--short-side", "3"])
    assert options.data_dir == "a-b" and options.short_side == 3


CONFIG = f"--config={ROOT}/configs/fashion_mnist/teacher.py"


@pytest.mark.parametrize(
    ("argv", "message"),
    (
        (["evaluate"], "missing: --workdir. For example: python -m"),
        (
            ["evaluate", "--wrokdir=x"],
            "there is no option --wrokdir. Did you mean --workdir?",
        ),
        (["evaluate", "--workdir=x", "--chekpoint=1"], "Did you mean --checkpoint?"),
        (["evaluate", "--output-dir=x"], "--output-dir. Did you mean --workdir?"),
        (["evaluate", "--workdir=x", "y"], "'y' is no option; expected --NAME=VALUE"),
        (
            ["evaluate", "--workdir=x", "--devices=two"],
            "--devices is 'two'; expected a whole number.",
        ),
        (
            ["evaluate", "--workdir=x", "--feed=streaned"],
            "one of auto, resident, streamed. Did you mean streamed?",
        ),
        (["evaluate", "--workdir"], "--workdir has no value; expected --workdir=VALUE"),
        *(
            (
                ["train", CONFIG, "--workdir=w", *word.split()],
                f"option {re.split('[= ]', word)[0]}. It is a key of the config, which "
                f"--config.{key} sets. python",
            )
            for word, key in (
                ("--epochs=3", "total_epochs=3"),
                ("--steps=3", "total_steps=3"),
                ("--lr=0.1", "schedule.learning_rate=0.1"),
                ("--batch-size=64", "batch_size=64"),
                ("--temperature=4", "method.temperature=4"),
                ("--alpha", "method.alpha=VALUE"),
                ("--alpha 0.5", "method.alpha=0.5"),
                ("--model=a", "model.name=a"),
                ("--method=kd", "method.name=kd"),
                ("--teacher=runs/t", "teacher.workdir=runs/t"),
                ("--optimizer.head_rate=3", "optimizer.head_rate=3"),
            )
        ),
        *(
            (["train", CONFIG, "--workdir=w", word], f"is no option {word}. python")
            for word in ("--hepl", "--preset")
        ),
        (
            ["train", CONFIG, "--workdir=w", "--config.batch-size=3"],
            "Did you mean batch_size?",
        ),
        (
            ["train", CONFIG, "--workdir=w", "--config.lr=3"],
            "Did you mean schedule.learning_rate?",
        ),
        (
            ["train", CONFIG, "--workdir=w", "--config.method=kd"],
            "config.method is 'kd'; expected a section: set config.method.name.",
        ),
        (
            ["train", CONFIG, "--workdir=w", "--config.teacher=runs/t"],
            "expected a section: set config.teacher.workdir.",
        ),
        (
            ["train", CONFIG, "--workdir=w", "--config.guards=3"],
            "a section: its keys are loss_spike, max_skipped_share.",
        ),
        (["reproduce", "cifar10"], "Did you mean cifar100?"),
        (
            ["prepare", "a", "--folder=x", "--archives=y"],
            "--archives and --folder are both given; expected one of them.",
        ),
        (["trian"], "'trian' is not a command. Did you mean train?"),
        (["--workdir=x", "train"], "The command comes before its options."),
    ),
)
def test_what_is_typed_wrong_is_one_line_and_2(argv, message):
    code, out, error = output(argv)
    assert code == 2 and not out
    assert message in error and len(error.splitlines()) == 1
    assert re.match(r"kdjax( \w+)?: ", error)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    (
        (Terminal, {"TERM": "xterm"}, True),
        (Terminal, {"TERM": "dumb"}, False),
        (Terminal, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (io.StringIO, {"TERM": "xterm"}, False),
    ),
)
def test_colour_is_for_terminals_that_have_it(stream, variables, coloured, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shown = stream()
    show("use --workdir=DIR\n", shown, usage.STYLES)
    assert ("\x1b[36m" in shown.getvalue()) == coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())
    assert plain == "use --workdir=DIR\n"
