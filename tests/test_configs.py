"""Every config is one that a run would take: keys, parts, methods, grids, both sets."""

import pathlib

import pytest

from configs import experiments
from kdjax.commands import runs
from kdjax.commands.arguments import load_config, load_grid
from kdjax.commands.axes import read_axes
from kdjax.commands.grid import make_rows
from kdjax.contracts import InputError

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ("common", "__init__")
FILES = [p for p in sorted(ROOT.glob("configs/*/*.py")) if p.stem not in SHARED]
GRIDS = [p for p in FILES if "def get_grid" in p.read_text()]
STUDIES = "temperatures alphas noisy_labels detectors corrections baseline".split()


def name_of(path):
    return f"{path.parent.name}/{path.name}"


def check(config):
    """What a run checks before it loads anything, for each part of the config."""
    runs.check(config, pathlib.Path("/runs"))


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
