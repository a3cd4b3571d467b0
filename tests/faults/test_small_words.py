"""Arguments that are nearly right end with code 2 and one sentence, or just work."""

import pytest

from kdjax.__main__ import main
from kdjax.experiment.overrides import load_config

TEXT = """
from kdjax.experiment import schema


def get_config(arg=""):
    config = schema.base()
    config.teacher.student = arg
    return config
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(TEXT)
    return path


def refused(capsys, *words):
    """The sentence with which `train` refuses these words."""
    assert main(["train", *map(str, words)]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("kdjax train: ") and "\n" not in message
    assert "Traceback" not in message
    return message


@pytest.fixture(autouse=True)
def _devices(monkeypatch):
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)


@pytest.mark.parametrize("workdir", ("", " "))
def test_an_empty_workdir_is_not_the_current_directory(
    config, capsys, tmp_path, monkeypatch, workdir
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    message = refused(capsys, f"--config={config}", f"--workdir={workdir}")
    assert "--workdir is empty" in message and not list((tmp_path / "here").iterdir())


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    (
        (f"--workdir=runs/{LONG}",),
        ("--workdir=run", f"--config.teacher.workdir={LONG}"),
        ("--workdir=run", f"--config.data.name={LONG}.npz"),
        ("--workdir=run", f"--config.data.name={LONG}"),
        ("--workdir=run", f"--config.data.keep={LONG}"),
        ("--workdir=run", f"--config.data.data_dir=/tmp/{LONG}"),
        ("--workdir=run", f"--config.students={{'{LONG}': {{}}}}"),
        (
            "--workdir=run",
            f"--config.stages={{'{LONG}': {{}}}}",
            f"--config.order=('{LONG}',)",
        ),
    ),
    ids=lambda words: words[-1][:30],
)
def test_names_that_are_too_long_for_a_file_system(
    data_dir, tmp_path, capsys, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.py"
    path.write_text(
        "from tests.experiment import configs\n"
        f"def get_config(arg=''): return configs.teacher({str(data_dir)!r})\n"
    )
    refused(capsys, f"--config={path}", *words)


def test_a_config_file_with_a_name_that_is_too_long(capsys):
    refused(capsys, f"--config={LONG}.py", "--workdir=run")


@pytest.mark.parametrize("folder", ("lr:0.1", "a.py:b", ":", "a:b.py:c"))
def test_a_folder_of_a_config_may_have_colons(tmp_path, folder):
    path = tmp_path / folder / "config.py"
    path.parent.mkdir(parents=True)
    path.write_text(TEXT)
    assert load_config(str(path), []).teacher.student == ""
    for argument in ("", "fine", "runs/a:b", "other.py:3", "/x/y.py"):
        assert load_config(f"{path}:{argument}", []).teacher.student == argument


@pytest.mark.parametrize("name", ("config.txt", "config", "folder.py"))
def test_what_is_no_python_file(tmp_path, capsys, name):
    (tmp_path / "folder.py").mkdir()
    for text in ("config.txt", "config"):
        (tmp_path / text).write_text(TEXT)
    message = refused(capsys, f"--config={tmp_path / name}:arg", "--workdir=run")
    assert "expected a Python file" in message


VALUES = (
    "{[]:1}",
    "{1:2}",
    "{'a.b': 1}",
    "{1,2}",
    "b'x'",
    "1j",
    "...",
    "{'name': [}",
    "(" * 500,
    "-" * 100_000 + "1",
    "[" * 100_000,
    "9" * 5000,
    "\0",
    "\ud800",
    "None",
)


@pytest.mark.parametrize("value", VALUES, ids=lambda text: ascii(text)[:20])
@pytest.mark.parametrize("key", ("method", "seed", "method.parameters", "data.mean"))
def test_a_value_that_is_no_literal(config, capsys, key, value):
    words = f"--config={config}", "--workdir=run", f"--config.{key}={value}"
    if main(["train", *words]) == 2:  # as a text it may be a value of another type
        assert "kdjax train: " in capsys.readouterr().err
    else:
        raise AssertionError("it was taken")


@pytest.mark.parametrize(
    "key", ("", ".", "a..b", ".seed", "seed.", "data..name", "method.", "model..x")
)
def test_a_key_that_is_no_key(config, capsys, key):
    refused(capsys, f"--config={config}", "--workdir=run", f"--config.{key}=1")


def test_the_number_of_classes_is_counted(data_dir, tmp_path, capsys):
    path = tmp_path / "small.py"
    path.write_text(
        "from tests.experiment import configs\n"
        f"def get_config(arg=''): return configs.teacher({str(data_dir)!r})\n"
    )
    words = f"--config={path}", f"--workdir={tmp_path / 'run'}"
    message = refused(capsys, *words, "--config.model.num_classes=7")
    assert "config.model.num_classes is 7; the data set says" in message


def test_a_retired_key_says_why(config, capsys, tmp_path):
    text = TEXT.replace(
        "    return", "    config.unlock()\n    config.stacked=True\n    return"
    )
    (tmp_path / "old.py").write_text(text)
    words = f"--config={tmp_path / 'old.py'}", "--workdir=run"
    assert "config.stacked is not read any more: " in refused(capsys, *words)
