"""Every config is one that a run would take: keys, parts, methods, grids, both sets."""

import pathlib

import pytest

from configs import experiments
from kdjax.build import sections
from kdjax.build.selections import SELECTIONS
from kdjax.build.stages import split_stages
from kdjax.commands import selecting
from kdjax.commands.arguments import load_config, load_grid
from kdjax.commands.axes import read_axes
from kdjax.commands.grid import make_rows
from kdjax.contracts import InputError
from kdjax.methods import METHODS
from kdjax.models import create
from kdjax.training.optimizers import OPTIMIZERS, SCHEDULES

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ("common", "__init__")
FILES = [p for p in sorted(ROOT.glob("configs/*/*.py")) if p.stem not in SHARED]
GRIDS = [p for p in FILES if "def get_grid" in p.read_text()]
STUDIES = "temperatures alphas noisy_labels detectors corrections baseline".split()
FACTS = {
    "num_examples": 1000,
    "num_classes": 10,
    "steps_per_epoch": 10.0,
    "total_steps": 100,
}
KNOWN = {"images": None, "teacher": None, "data": {}}


def name_of(path):
    return f"{path.parent.name}/{path.name}"


def check(config):
    """What a run checks before it loads anything, for each part of the config."""
    for part in split_stages(config, pathlib.Path("/runs")).values() or [config]:
        part = sections.plain(part)
        sections.check_keys(part)
        if part["select"]:
            selecting.check("config.select", part["select"])
            continue
        for row in part["students"].values() or [{}]:
            row = {key: part[key] for key in sections.VARIANT} | row
            sections.call_with_facts("method", METHODS, row["method"], FACTS)
            create(num_classes=10, **row["model"])
            check_call("config.selection", SELECTIONS, row["selection"], KNOWN)
        steps = {"total_steps": 100, "steps_per_epoch": 10.0}
        schedule = sections.call_named("s", SCHEDULES, part["schedule"], **steps)
        sections.call_named("o", OPTIMIZERS, part["optimizer"], schedule=schedule)


def check_call(path, table, section, known):
    """The arguments of a builder that needs data, without calling it."""
    section = dict(section)
    name = section.pop("name")
    sections.check_arguments(path, name, table[name], section, known)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_config_is_well_formed(path):
    check(load_config(str(path), []))


@pytest.mark.parametrize("path", GRIDS, ids=name_of)
def test_a_grid_has_rows_and_each_is_well_formed(path):
    axes = read_axes(load_grid(str(path)), [])
    rows = make_rows(load_config(str(path), []), axes)
    assert len(rows) > 1
    for row in rows:
        check(row.config)


@pytest.mark.parametrize("data_set", ["fashion_mnist", "cifar100"])
def test_every_study_is_there_for_both_sets(data_set):
    for study in STUDIES:
        assert (ROOT / "configs" / data_set / f"{study}.py").exists()
    commands = experiments.commands(data_set, pathlib.Path("/runs"), ["--devices=2"])
    for words in commands:
        config = next(w for w in words if w.startswith("--config=")).split("=")[1]
        assert (ROOT / config.split(":")[0]).exists()
        assert words[0] == "sweep" and words[-1] == "--devices=2"


@pytest.mark.parametrize(
    "name",
    ["chain.py:kl", "tickets.py:fnie", "noisy_teacher.py:wrong", "born_again.py:x"],
)
def test_an_argument_that_a_config_does_not_know_is_an_error(name):
    with pytest.raises(InputError):
        check(load_config(str(ROOT / "configs" / "fashion_mnist" / name), []))
