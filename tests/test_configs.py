"""Every config is one that a run would take: keys, parts, methods, grids, both sets."""

import pathlib

import pytest
from ml_collections import ConfigDict

from configs import recipes
from kdjax.contracts import InputError
from kdjax.experiment.overrides import load_config, load_grid
from kdjax.experiment.stages import split_stages
from kdjax.runner import run
from kdjax.sweeps.axes import read_axes
from kdjax.sweeps.trials import make_trials

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ("common", "__init__")
FILES = [p for p in sorted(ROOT.glob("configs/*/*.py")) if p.stem not in SHARED]
GRIDS = [p for p in FILES if "def get_grid" in p.read_text()]
# ARG is a run, which is read, or of the grid.
OF_A_REFERENCE = ("ds", "lr_ds", "denominators", "corrections")
SETS = ["fashion_mnist", "cifar100"]
STUDIES = "temperatures alphas noisy_labels detectors corrections baseline".split()


def name_of(path):
    return f"{path.parent.name}/{path.name}"


def check(config):
    """What a run checks before it loads anything, for each part of the config."""
    run.check(config, pathlib.Path("/runs"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_config_is_well_formed(path):
    check(load_config(str(path), []))


@pytest.mark.parametrize("path", GRIDS, ids=name_of)
def test_a_grid_has_rows_and_each_is_well_formed(path):
    axes = read_axes(load_grid(str(path)), [])
    rows = make_trials(load_config(str(path), []), axes)
    assert len(rows) > 1
    for row in rows:
        check(row.config)


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.stem not in OF_A_REFERENCE], ids=name_of
)
def test_a_word_that_no_config_has_is_refused(path):
    """Not taken for the default, which would train for days what was not meant."""
    with pytest.raises(InputError):
        check(load_config(f"{path}:teachr", []))


@pytest.mark.parametrize("data_set", SETS)
def test_every_study_is_there_for_both_sets(data_set):
    for study in STUDIES:
        assert (ROOT / "configs" / data_set / f"{study}.py").exists()


@pytest.mark.parametrize(
    "name, message",
    [
        ("chain.py:kl", "1 losses for the 3 networks"),
        *(
            (f"tickets.py:{words}", r"is not DETECTOR\[-PROXIES\]\[-continued\]")
            for words in "fnie FINE 3 continued same-0 same-4 same3 same-continued-3 "
            "fine-fresh fine- fine-3-continued-".split()
        ),
        ("noisy_teacher.py:wrong", "expected labels or underfitted"),
        ("born_again.py:x", "'x'"),
        ("born_again.py:0", "0 generations; expected 1 or more"),
    ],
)
@pytest.mark.parametrize("data_set", SETS)
def test_an_argument_that_a_config_does_not_know_is_an_error(data_set, name, message):
    with pytest.raises(InputError, match=message):
        check(load(data_set, name))


def load(data_set, spec, *overrides):
    return load_config(str(ROOT / "configs" / data_set / spec), list(overrides))


def parts_of(config):
    check(config)
    parts = split_stages(config, pathlib.Path("/runs"))
    return {name: ConfigDict(part) for name, part in parts.items()}


THREE = ["proxy", "second_proxy", "third_proxy"]


@pytest.mark.parametrize("data_set", SETS)
@pytest.mark.parametrize(
    "argument, detector, proxies, initial",
    [
        ("", "fine", THREE[:1], ""),
        (":clk", "clk", THREE[:1], ""),
        (":fine-continued", "fine", THREE[:1], "/runs/proxy"),
        (":fine-1", "fine", THREE[:1], ""),
        (":clk-2", "clk", THREE[:2], ""),
        (":same-3", "same", THREE, ""),
        (":same-3-continued", "same", THREE, "/runs/proxy"),
    ],
)
def test_tickets_are_what_their_argument_says(
    data_set, argument, detector, proxies, initial
):
    parts = parts_of(load(data_set, f"tickets.py{argument}"))
    assert list(parts) == [*proxies, "select", "retrain"]
    selector = parts["select"].select
    assert (selector.name, selector.detector) == ("detector", detector)
    assert selector.proxies == ",".join(f"/runs/{name}" for name in proxies)
    assert [parts[name].seed for name in proxies] == [0, 1, 2][: len(proxies)]
    assert parts["retrain"].data.keep == "/runs/select"
    assert parts["retrain"].initial.workdir == initial
    for name in proxies:
        assert not parts[name].data.keep and not parts[name].initial.workdir
        assert parts[name].method == parts["retrain"].method
        assert parts[name].data.noise == parts["select"].data.noise


@pytest.mark.parametrize("proxies", [0, 4])
def test_tickets_have_one_to_three_proxies(proxies):
    config = load("fashion_mnist", "baseline.py")
    with pytest.raises(ValueError, match=f"{proxies} proxies; expected 1 to 3"):
        recipes.tickets(config, "fine", proxies=proxies)


@pytest.mark.parametrize("data_set", SETS)
@pytest.mark.parametrize(
    "spec, seeds",
    [
        ("tickets.py:same-3", {"proxy": 5, "second_proxy": 6, "third_proxy": 7}),
        ("born_again.py:2", {"generation0": 5, "generation1": 6, "generation2": 7}),
        ("ensemble.py", {"teacher0": 5, "teacher1": 6, "teacher2": 7}),
    ],
)
def test_seeds_of_parts_follow_the_seed_of_the_run(data_set, spec, seeds):
    parts = parts_of(load(data_set, spec, "seed=5"))
    assert {name: parts[name].seed for name in seeds} == seeds
    rest = [part.seed for name, part in parts.items() if name not in seeds]
    assert rest == [5] * len(rest)


@pytest.mark.parametrize("data_set", SETS)
@pytest.mark.parametrize("method", ["ds", "lr_ds"])
def test_data_selection_trains_its_reference_by_labels_first(data_set, method):
    overrides = ["teacher.workdir=/t", "selection.keep_ratio=0.5", "seed=4"]
    parts = parts_of(load(data_set, f"{method}.py", *overrides))
    assert list(parts) == ["select_training", "reference", "student"]
    selects, reference, student = parts.values()
    assert selects.select.name == "without_validation"
    assert reference.data.keep == "/runs/select_training" and not student.data.keep
    assert reference.method.name == "ce" and reference.selection.name == "all"
    assert not reference.teacher.workdir and not reference.teacher.network
    assert student.method.name == method and student.teacher.workdir == "/t"
    assert student.selection.reference == "/runs/reference"
    assert student.selection.name == "influence" and student.selection.keep_ratio == 0.5
    same = ("model", "seed", "data", "schedule", "optimizer", "total_epochs")
    reference.data.keep = ""
    for key in same:
        assert reference[key] == student[key]


@pytest.mark.parametrize("data_set", SETS)
@pytest.mark.parametrize("method", ["ds", "lr_ds"])
def test_data_selection_takes_a_reference_that_is_there(data_set, method):
    config = load(data_set, f"{method}.py:runs/baseline", "teacher.workdir=/t")
    assert parts_of(config) == {}
    assert config.selection.reference == "runs/baseline"
    assert config.method.name == method and config.teacher.workdir == "/t"
    staged = parts_of(load(data_set, f"{method}.py"))["student"]
    assert config.model == staged.model and config.method == staged.method
