"""What a docstring of a config or the README tells to type can be typed, in its order.

Each command is read by the command itself. Its config loads with the overrides and is
one that a run would take; what it refers to comes from the commands before it.
"""

import ast
import pathlib
import re
import shlex

import pytest

from kdjax.cli import (
    bench,
    bench_input,
    cache,
    export,
    import_,
    prepare,
    reproduce,
    sweep,
    train,
)
from kdjax.cli import compile as compile_
from kdjax.datasets.convert_images import converted_name
from kdjax.distributed import devices
from kdjax.experiment.checks import check_training
from kdjax.experiment.schema import plain
from kdjax.experiment.stages import split_stages
from kdjax.models import MODELS
from kdjax.preflight import gpus, topology
from kdjax.reproduce import sweeps
from kdjax.runner import run as runs
from tests import own_photos

ROOT = pathlib.Path(__file__).parent.parent
FILES = [p for p in sorted(ROOT.glob("configs/*/*.py")) if p.stem != "common"]
SETS = sorted({path.parent.name for path in FILES})
EMBEDDED = "fashion_mnist_subset"
# Keys of a config that name runs, or several with commas.
NAMING = ("workdir", "cache", "reference", "keep", "proxies", "as_many_as")


def name_of(path):
    return f"{path.parent.name}/{path.name}"


def shown(text):
    """The words after `python -m kdjax` of every line that begins so."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        shlex.split(line, comments=True)[3:]
        for line in lines
        if line.startswith("python -m kdjax ")
    ]


def docstring(path):
    return ast.get_docstring(ast.parse(path.read_text()))


def named(config, path=""):
    """(dotted key, run) of every run that a plain config names."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from named(value, f"{path}{key}.")
        elif key in NAMING and value:
            yield from ((f"{path}{key}", run) for run in value.split(","))


class Shell:
    """Takes commands as a fresh clone would, and trains nothing."""

    def __init__(self, prepared=()):
        self.runs = {}  # directory -> what its network says of its data
        self.prepared = dict(prepared)  # set -> its data_dir

    def type(self, words):
        command, *rest = words
        words = [own_photos.with_config(word, ROOT) for word in rest]
        if command == "prepare":
            options = prepare.read(rest)
            own_photos.prepare_photos(options.name, rest)
            given = any(word.startswith("--data_dir=") for word in rest)
            where = str(pathlib.Path(options.data_dir if given else "").resolve())
            self.prepared[options.name] = where
            if form := prepare.format_of(options):
                self.prepared[converted_name(options.name, form)] = where
        elif command == "train":
            assert train.main(words) == 0
        elif command == "sweep":
            assert sweep.main([*words, "--dry_run"]) == 0
        elif command == "cache":
            options, config = cache.read(words)
            check_training(config)
            self.note(config, pathlib.Path(options.workdir).resolve())
        elif command == "bench":
            assert bench.main(rest) == 0
        elif command == "compile":
            options, config, _ = compile_.read(words)
            check_training(config)
            shown = options.topology or "v5e:1x1"
            assert any(re.fullmatch(m.PATTERN, shown) for m in (topology, gpus))
        elif command == "import":
            assert import_.main(words) == 0
        elif command == "export":
            assert export.main(words) == 0
        else:
            self.read(rest)

    def type_all(self, commands):
        for words in commands:
            self.type(words)

    def import_weights(self, file, workdir, *, model, mean, std, **_):
        """In place of reading a file that is not there."""
        assert model in MODELS
        self.runs[workdir] = {"name": None, "mean": mean, "std": std}
        return {"classes": 1000}

    def export(self, workdir, output, **_):
        assert workdir in self.runs
        return {}

    def read(self, words):
        """A command that looks at finished runs."""
        given = [w.removeprefix("--workdir=") for w in words]
        found = [w for w in given if not w.startswith("--")]
        assert found and {pathlib.Path(w).resolve() for w in found} <= set(self.runs)

    def run(self, config, workdir, deadline=None, profile=None, allow=()):
        """In place of a training: checks, and notes which networks there are now."""
        runs.check(config, workdir)
        for name, part in split_stages(config, workdir).items() or [("", config)]:
            self.note(plain(part), workdir / name)

    def note(self, part, workdir):
        """What is made of the data and the runs before it."""
        self.check_data(part["data"])
        about = {key: part["data"][key] for key in ("name", "mean", "std")}
        for key, run in named(part):
            made = self.runs.get(pathlib.Path(run).resolve())
            assert made, f"{key} is {run}, which no command before it makes"
            # Imported weights answer on images of any normalisation.
            foreign = made["name"] is None and key == "teacher.workdir"
            # Weights that a training begins with may be of any other set.
            foreign |= key == "initial.workdir"
            assert foreign or made == about, f"{key} is {run}, of other data: {made}"
        self.runs[workdir] = about

    def check_data(self, data):
        if data["name"] != EMBEDDED:
            where = str(pathlib.Path(data["data_dir"]).resolve())
            name = data["name"].removesuffix(":1.0.0")
            assert self.prepared.get(name) == where, "not prepared there"


@pytest.fixture
def shell(monkeypatch, tmp_path):
    shell = Shell()

    def rows(root, rows):
        for row in rows:
            shell.run(row.config, root / row.name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "configure", lambda *sizes: None)
    for module in (bench.rows, bench_input):
        monkeypatch.setattr(module, "measure_each", lambda *cases: 0)
    monkeypatch.setattr(runs, "run", shell.run)
    monkeypatch.setattr(import_, "import_weights", shell.import_weights)
    monkeypatch.setattr(export, "export", shell.export)
    monkeypatch.setattr(sweep.directory, "check_done", rows)
    return shell


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_docstring_can_be_typed_line_by_line(path, shell):
    commands = shown(docstring(path))
    own = f"--config={path.relative_to(ROOT)}"
    assert any(w.split(":")[0] == own for words in commands for w in words)
    shell.type_all(commands)


@pytest.mark.parametrize("data_set", SETS)
def test_docstrings_of_a_set_do_not_share_a_directory(data_set):
    """Two of them train the same thing there, or `runs/NAME` would be refused."""
    made = {}
    for path in FILES:
        if path.parent.name == data_set:
            for words in shown(docstring(path)):
                where = [w for w in words if w.startswith("--workdir=")]
                if where:
                    before = made.setdefault(where[0], words)
                    assert before == words, f"{name_of(path)}: {where[0]}"


PAGES = "data networks performance scale training buckets translate own_images"
TYPED = ("README.md", *(f"docs/{page}.md" for page in PAGES.split()))
STUDIED = "docs/reproduce.md", "docs/evidence.md"


@pytest.mark.parametrize("page", TYPED)
def test_a_page_can_be_typed_line_by_line(page, shell):
    # A directory stands for the bucket, which would be looked for in the network.
    commands = shown((ROOT / page).read_text().replace("gs://BUCKET/", "bucket/"))
    assert commands
    shell.type_all(commands)


def test_every_page_with_commands_is_typed():
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    typed = {str(p.relative_to(ROOT)) for p in pages if shown(p.read_text())}
    assert typed == {*TYPED, *STUDIED}


@pytest.mark.parametrize("page", STUDIED)
def test_the_studies_of_a_page_are_those_of_the_command(page, shell, capsys):
    commands = shown((ROOT / page).read_text())
    for command, *words in commands:
        assert command == "reproduce" and reproduce.main([*words, "--plan"]) == 0
        assert capsys.readouterr().out


def test_the_page_on_imagenet_can_be_typed_line_by_line(shell):
    commands = shown((ROOT / "configs/imagenet/README.md").read_text())
    assert [words[0] for words in commands] == ["prepare"] * 5
    shell.type_all(commands)


@pytest.mark.parametrize("study, data_set", sweeps.DATA_SETS.items())
def test_the_plan_of_sweeps_can_be_typed(study, data_set, shell, capsys, monkeypatch):
    monkeypatch.setattr(
        sweeps.pages, "configs", lambda name: pathlib.Path("configs", name)
    )
    where = ["--runs=runs/all", "--data_dir=data", "--config.total_epochs=4"]
    assert reproduce.main([study, "--plan", *where]) == 0
    commands = shown(capsys.readouterr().out)
    assert len(commands) == len(sweeps.commands(study, ROOT, []))
    shell.prepared[data_set] = str(pathlib.Path("data").resolve())
    assert all("--config.total_epochs=4" in words for words in commands)
    shell.type_all(commands)


F, C = "--config=configs/fashion_mnist", "--config=configs/cifar100"


@pytest.mark.parametrize(
    "lines, message",
    [
        ([f"train {C}/kd.py --workdir=a"], "not prepared"),
        (
            ["prepare cifar100 --data_dir=data", f"train {C}/teacher.py --workdir=a"],
            "not prepared there",
        ),
        (
            [f"train {F}/kd.py --workdir=a --config.teacher.workdir=t"],
            "teacher.workdir is t, which no command before it makes",
        ),
        (
            [
                f"sweep {F}/teacher.py --workdir=t --grid.seed=0,1",
                f"sweep {F}/temperatures.py --workdir=a "
                "--config.teacher.workdir=t/seed-{seed}",
            ],
            "t/seed-2, which no command before it makes",
        ),
        (
            [
                "prepare cifar100",
                f"train {C}/teacher.py --workdir=t",
                f"train {C}/ka_ps.py --workdir=a --config.teacher.workdir=t",
            ],
            "of other data",
        ),
        (["evaluate --workdir=a"], "assert"),
        (
            [
                f"train {F}/teacher.py --workdir=t",
                f"cache {F}/kd.py --workdir=c --config.teacher.workdir=u",
            ],
            "teacher.workdir is u, which no command before it makes",
        ),
        (
            [
                f"train {F}/teacher.py --workdir=t",
                f"cache {F}/kd.py --workdir=c --config.teacher.workdir=t",
                f"train {F}/kd.py --workdir=a --config.teacher.workdir=t "
                "--config.teacher.cache=d",
            ],
            "teacher.cache is d, which no command before it makes",
        ),
    ],
)
def test_a_fault_is_found(shell, lines, message):
    *before, last = map(shlex.split, lines)
    shell.type_all(before)
    with pytest.raises(AssertionError, match=message):
        shell.type(last)
