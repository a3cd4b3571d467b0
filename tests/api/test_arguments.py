"""Signatures that list what is taken, and errors that name arguments."""

import ast
import inspect
import pathlib
import re

import pytest

import kdjax
from kdjax.api.arguments import TAKEN, as_arguments
from kdjax.contracts import InputError
from tests.api.test_api import DATA
from tests.api.test_api_modules import Pixels

PACKAGE = pathlib.Path(kdjax.__file__).parent
SETTINGS = "epochs method batch_size learning_rate seed data_dir config".split()
# Rooms and modules whose messages only commands, or a folder's `prepare`, can show.
ROOMS = "runner experiment checkpoints training methods selection models data sweeps"
COMMANDS = "cache export import_weights compared profile time_slice described "
COMMANDS += "given_networks overrides names trials axes"
OPTION = re.compile(r"(?<![\w-])--[a-z]\w*")


@pytest.mark.parametrize("function", [kdjax.train, kdjax.distill, kdjax.sweep])
def test_a_signature_lists_every_setting(function):
    parameters = inspect.signature(function).parameters
    assert [name for name in parameters if name in SETTINGS] == SETTINGS
    kinds = {p.kind for p in parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert parameters["epochs"].default is inspect.Parameter.empty
    is_train = function is kdjax.train
    assert (parameters["method"].default == "ce") == is_train
    assert parameters["batch_size"].annotation == int | None


@pytest.mark.errors
def test_another_keyword_is_refused_with_the_nearest():
    with pytest.raises(TypeError, match=r"train\(\): .*'epoch'.* Did you mean epochs"):
        kdjax.train("resnet8", DATA, workdir="w", epoch=1)
    given = {"workdir": "w", "epochs": 1}
    for word, meant in (
        ("lr", "Did you mean learning_rate?"),
        ("temperature", 'Did you mean method={"name": ..., "temperature": ...}?'),
        ("weight_decay", 'Did you mean config={"optimizer.weight_decay": ...}?'),
        ("optimizer", 'Did you mean config={"optimizer.name": ...}?'),
        ("total_steps", 'Did you mean config={"total_steps": ...}?'),
        ("student", "Did you mean network?"),
        ("teacher", "kdjax.distill takes a teacher."),
        ("workdri", "Did you mean workdir?"),
        ("output_dir", "Did you mean workdir?"),
    ):
        with pytest.raises(TypeError, match=f"'{word}'\\. {re.escape(meant)}$"):
            kdjax.train("resnet8", DATA, **given, **{word: 3})
    with pytest.raises(TypeError, match=r"distill\(\): missing.*'epochs'"):
        kdjax.distill("resnet8", None, DATA, workdir="w")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("use a new --workdir.", "use a new workdir."),
        ("expected --data=NAME, or --split", "expected data=NAME, or split"),
        ("--config.teacher.cache=a/b, and", 'config={"teacher.cache": "a/b"}, and'),
        ("with --config.data.flip.", 'with config["data.flip"].'),
        ("the --workdir; `kdjax cache --workdir=A`", "the workdir; `kdjax cache --wo"),
        ("--seed: python -m kdjax train --seed=1. A --seed", "train --seed=1. A seed"),
        ("--allow_code=a.b:c, or", 'config={"allow_code": ("a.b:c",)}, or'),
        ("allow more with --skip_at_most.", "with --skip_at_most."),  # no argument
    ],
)
def test_options_become_arguments(text, expected):
    assert expected in as_arguments(text)


def test_arguments_that_messages_name_are_taken():
    functions = (kdjax.distill, kdjax.evaluate, kdjax.load, kdjax.sweep)
    names = {n for one in functions for n in inspect.signature(one).parameters}
    assert set(TAKEN.split()) <= names


def texts_of(path):
    """(line, text) of every string in a module that is no docstring."""
    tree = ast.parse(path.read_text())
    parts = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            parts.add(body[0].value)
        if isinstance(node, ast.JoinedStr):
            values = [getattr(value, "value", "X") for value in node.values]
            yield node.lineno, "".join(x if isinstance(x, str) else "X" for x in values)
            parts |= set(node.values)
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in parts:
            yield node.lineno, node.value


def test_no_message_that_python_shows_names_an_option():
    """Of the modules that a training, an evaluation or a sweep goes through."""
    wrong = []
    for room in ROOMS.split():
        for path in sorted((PACKAGE / room).rglob("*.py")):
            if path.stem in COMMANDS.split():
                continue
            for line, text in texts_of(path):
                left = as_arguments(text)
                left = re.sub(r"`[^`]*`?|python -m kdjax .*|git .*", "", left)
                if OPTION.search(left) and text not in ("--verify",):  # of git
                    wrong.append(f"{path.relative_to(PACKAGE)}:{line}: {left[:80]}")
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("arguments") / "run"
    config = {"data.padding": 0, "data.flip": False}
    kdjax.train(Pixels, DATA, workdir=workdir, epochs=0.3, batch_size=32, config=config)
    return workdir


@pytest.mark.errors
@pytest.mark.parametrize(
    "given, message",
    [
        ({"student": "kd"}, "^student is 'kd'; that run trained ce"),
        ({"checkpoint": "lates"}, "^checkpoint is 'lates'; expected latest"),
        ({"feed": "streamed"}, "^feed, short_side and subset .*expected data=NAME"),
        ({"data": "none.npz"}, "none.npz: there is no such file"),
        ({"data": "cifar10", "data_dir": "/nowhere"}, "Type: python .* --data_dir=/n"),
    ],
)
def test_errors_of_evaluate_name_its_arguments(run, given, message):
    with pytest.raises(InputError, match=message):
        kdjax.evaluate(run, network=Pixels, **given)


@pytest.mark.errors
def test_errors_of_a_run_name_arguments(run, tmp_path):
    given = {"workdir": run, "epochs": 0.3, "batch_size": 16}
    with pytest.raises(InputError, match=r"^workdir: .*Use a new workdir.*allow=") as e:
        kdjax.train(Pixels, DATA, **given)
    assert not OPTION.search(str(e.value))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/teacher").mkdir()
    missing = tmp_path / "runs/techer"
    with pytest.raises(InputError, match="the workdir of .*Did you mean .*/teacher"):
        kdjax.distill(Pixels, missing, DATA, workdir=tmp_path / "s", epochs=1)
    with pytest.raises(InputError, match="expected the workdir of .*Did you mean .*/t"):
        kdjax.load(missing)


@pytest.mark.errors
def test_without_a_teacher_it_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match="kd needs a teacher.* teacher= in.*'ce'"):
        kdjax.distill(Pixels, None, DATA, workdir=tmp_path / "w", epochs=1)


def test_a_changed_key_is_allowed(run):
    """As with --allow: the run goes on, by its new length."""
    config = {"data.padding": 0, "data.flip": False}
    same = {"workdir": run, "batch_size": 32, "config": config, "allow": ["seed"]}
    trained = kdjax.train(Pixels, DATA, epochs=0.3, **same)
    assert trained.metrics
    with pytest.raises(InputError, match="allow: 'sed' is no key of the config"):
        kdjax.train(Pixels, DATA, epochs=0.3, **same | {"allow": ["sed"]})
