"""Grids without running them: axes, trials, names, placeholders."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from configs import recipes
from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.schema import resolved
from kdjax.sweeps.axes import read_axes, split_values
from kdjax.sweeps.trials import LONGEST, make_trials

quick = settings(max_examples=40, deadline=None, derandomize=True)
KD = {"name": "kd", "alpha": 1.0, "temperature": 4.0}


def config() -> ConfigDict:
    base = schema.base()
    base.model = ConfigDict({"name": "wide_resnet", "depth": 10, "widths": (4, 8, 16)})
    base.method = ConfigDict(dict(KD))
    return base


def grid(axes=None, *words, base=None):
    return make_trials(base or config(), read_axes(axes or {}, list(words)))


def names(trials):
    return [trial.name for trial in trials]


def test_the_product_has_the_last_axis_fastest():
    trials = grid({"seed": (0, 1), "method.temperature": (1.0, math.inf)})
    assert names(trials) == [
        "seed-0__method.temperature-1.0",
        "seed-0__method.temperature-inf",
        "seed-1__method.temperature-1.0",
        "seed-1__method.temperature-inf",
    ]
    assert trials[3].cells == {"seed": "1", "method.temperature": "inf"}
    assert trials[3].config.seed == 1
    assert trials[3].config.method.to_dict() == KD | {"temperature": math.inf}
    assert trials[3].config.batch_size == config().batch_size


def test_trials_do_not_touch_each_other_nor_the_config_they_come_from():
    base = config()
    trials = grid({"method.temperature": (1.0, 2.0)}, base=base)
    trials[0].config.model.depth = 16
    assert base.method.temperature == 4.0
    assert trials[1].config.model.depth == base.model.depth == 10


def test_what_refers_to_an_axis_follows_it():
    """The seeds of a run's stages are counted from its own."""
    trials = grid({"seed": (0, 4)}, base=recipes.tickets(config(), "same", proxies=2))
    seeds = [
        resolved(trial.config)["stages"]["second_proxy"]["seed"] for trial in trials
    ]
    assert seeds == [1, 5]


def test_a_set_of_another_name_changes_its_name_only():
    (trial,) = grid({"data": ({"name": "cifar10", "noise": {"name": "none"}},)})
    assert trial.config.data.name == "cifar10" and trial.config.data.train == "train"


def test_a_section_with_a_name_replaces_and_one_without_changes_some_keys():
    labelled = {"base": {}, "warm": {"temperature": 9.0}, "ce": {"name": "ce"}}
    base, warm, ce = grid({"method": labelled})
    assert names((base, warm, ce)) == ["method-base", "method-warm", "method-ce"]
    assert base.config.method.to_dict() == KD
    assert warm.config.method.to_dict() == KD | {"temperature": 9.0}
    assert ce.config.method.to_dict() == {"name": "ce"}
    assert [trial.cells["method"] for trial in (base, warm, ce)] == [
        "base",
        "warm",
        "ce",
    ]


def test_sections_without_short_names_are_called_after_what_they_say():
    trials = grid({"method": [{"name": "ce"}, KD]})
    assert names(trials) == ["method-ce", "method-kd_alpha-1.0_temperature-4.0"]


def test_keys_that_share_an_axis_change_together():
    trials = grid(
        {
            "seed": range(2),
            "model.depth,teacher.workdir": {
                "small": (10, "runs/t10"),
                "large": (16, "runs/t16"),
            },
        }
    )
    assert names(trials) == [
        "seed-0__small",
        "seed-0__large",
        "seed-1__small",
        "seed-1__large",
    ]
    pairs = [
        (trial.config.model.depth, trial.config.teacher.workdir) for trial in trials
    ]
    assert pairs == 2 * [(10, "runs/t10"), (16, "runs/t16")]
    assert trials[1].cells == {"seed": "0", "model.depth,teacher.workdir": "large"}
    plainly = grid({"seed,batch_size": [(0, 32), (1, 64)]})
    assert names(plainly) == ["seed-0__batch_size-32", "seed-1__batch_size-64"]
    assert plainly[1].cells == {"seed": "1", "batch_size": "64"}
    typed = grid(None, "seed,batch_size=(0, 32),(1, 64)")
    assert [resolved(r.config) for r in typed] == [resolved(r.config) for r in plainly]


def test_the_command_line_replaces_an_axis_in_its_place_and_adds_others():
    axes = {"method.temperature": (1.0, 2.0), "seed": (0, 1)}
    trials = grid(axes, "method.temperature=inf", "seed=7", "batch_size=16,32")
    assert names(trials) == [
        "method.temperature-inf__seed-7__batch_size-16",
        "method.temperature-inf__seed-7__batch_size-32",
    ]


def test_values_take_the_type_that_is_there():
    trials = grid(None, "method.temperature=3,inf", "model.widths=(4,4,8),(8,8,8)")
    assert trials[0].config.method.temperature == 3.0
    assert isinstance(trials[0].config.method.temperature, float)
    assert trials[0].config.model.widths == (4, 4, 8)
    assert trials[3].name == "method.temperature-inf__model.widths-8x8x8"
    # One way of writing a value is as good as another.
    assert names(grid({"total_epochs": (1, 2.5)})) == names(
        grid(None, "total_epochs=1.0,2.5")
    )
    trials = grid(None, "data.train=train[:10],'a,b',''", "data.flip=true,None")
    assert [trial.config.data.train for trial in trials[::2]] == [
        "train[:10]",
        "a,b",
        "",
    ]
    assert [trial.config.data.flip for trial in trials[:2]] == [True, None]
    (trial,) = grid({"method.alpha": np.float32([0.5])})
    assert trial.config.method.alpha == 0.5 and type(trial.config.method.alpha) is float
    (trial,) = grid({"method": [{"name": "kd", "alpha": np.float64(0.25)}]})
    assert trial.config.method.alpha == 0.25


def test_texts_of_a_config_file_stay_texts():
    selection = {"name": "sample_info", "path": "7"}
    (trial,) = grid({"selection": [selection], "teacher.checkpoint": ["12"]})
    assert trial.config.selection.path == "7"
    assert trial.config.teacher.checkpoint == "12"


@pytest.mark.parametrize(
    ("text", "parts"),
    (
        ("1,2", ["1", "2"]),
        ("(1,2),[3,[4,5]]", ["(1,2)", "[3,[4,5]]"]),
        ("{'a': 1, 'b': (2,)},x", ["{'a': 1, 'b': (2,)}", "x"]),
        ("'a,b',\"c'd\"", ["a,b", "c'd"]),
        ("'(',1", ["(", "1"]),
    ),
)
def test_commas_within_brackets_and_quotes_do_not_separate(text, parts):
    assert split_values("here", text) == parts


def test_placeholders_stand_for_the_trials_own_values():
    base = config()
    base.teacher.workdir = "runs/{model}/seed-{seed}_{method.temperature}"
    base.stages = ConfigDict({"proxy": {"teacher": {"workdir": "p/{seed}"}}})
    models = {"wrn10": {"depth": 10}, "wrn16": {"depth": 16}}
    trials = grid({"model": models, "seed": (0, 3)}, base=base)
    assert trials[3].config.teacher.workdir == "runs/wrn16/seed-3_4.0"
    assert trials[3].config.stages.proxy.teacher.workdir == "p/3"
    base.teacher.workdir, base.data.train = "{not a key}", "{}"
    (trial,) = grid({"seed": [0]}, base=base)
    assert trial.config.teacher.workdir == "{not a key}"


@pytest.mark.errors
@pytest.mark.parametrize("key", ("sead", "model", "data.keep", "teacher.workdir"))
def test_a_placeholder_without_a_value(key):
    base = config()
    base.teacher.workdir = f"runs/{{{key}}}"
    with pytest.raises(InputError, match=f"refers to {re.escape(key)}; expected a dot"):
        grid({"seed": (0, 1)}, base=base)


def test_what_a_name_loses_comes_back_as_a_digest():
    result = names(grid({"data.keep": ("a/b", "a b", "a_b", "x" * 300, "x" * 301)}))
    assert result[2] == "data.keep-a_b"
    assert len({name.lower() for name in result}) == 5
    many = {f"data.{key}": ["y" * 40] for key in ("train", "test", "keep", "name")}
    (name,) = names(grid(many))
    assert LONGEST < len(name) < 200


VALUES = {
    "seed": st.integers(0, 2**32 - 1),
    "method.temperature": st.floats(1e-6, 1e6) | st.just(math.inf),
    "data.keep": st.text(min_size=1, max_size=60).filter(lambda x: "{" not in x),
    "model.widths": st.lists(st.integers(1, 64), min_size=1, max_size=4).map(tuple),
    "data.flip": st.booleans() | st.none(),
}


@quick
@given(
    st.lists(
        st.sampled_from(list(VALUES)), min_size=1, max_size=3, unique=True
    ).flatmap(
        lambda keys: st.fixed_dictionaries(
            {k: st.lists(VALUES[k], min_size=1, max_size=3, unique=True) for k in keys}
        )
    )
)
def test_names_are_unique_safe_and_depend_on_the_trial_alone(axes):
    trials = grid(axes)
    assert len({name.lower() for name in names(trials)}) == len(trials)
    for trial in trials:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", trial.name)
    # Again, with other values before and after: the old trials keep their names.
    more = {key: [*reversed(values)] for key, values in axes.items()}
    configs = {trial.name: resolved(trial.config) for trial in grid(more)}
    assert configs == {trial.name: resolved(trial.config) for trial in trials}
    lone = {key: values[-1:] for key, values in axes.items()}
    assert names(grid(lone)) == [trials[-1].name]


@pytest.mark.errors
@pytest.mark.parametrize(
    ("axes", "words", "message"),
    (
        ({}, [], "the grid has no axis; expected --grid.KEY"),
        ([("seed", (0, 1))], [], "get_grid returned list; expected {dotted key"),
        ({"seed": ()}, [], r"grid: seed has \(\); expected several values"),
        ({"seed": 3}, [], "grid: seed has 3; expected several values"),
        ({"data.train": "train"}, [], "grid: data.train has 'train'; expected several"),
        ({"method": {"a b": KD}}, [], "grid: method: 'a b' cannot name a trial"),
        ({"seed, batch_size": [(0, 1)]}, [], "'seed, batch_size' is not a dotted key"),
        ({"seed,batch_size": [(0,)]}, [], r"has \(0,\); expected a tuple of 2"),
        ({"sead": (0, 1)}, [], r"config\.sead does not exist; .*Did you mean seed"),
        ({"method.temperature": ("hot",)}, [], r"config\.method\.temperature is .*hot"),
        ({"method.alpha": (1,), "method": (KD,)}, [], "method would undo method.alpha"),
        ({"seed,seed": [(0, 1)]}, [], "seed would undo seed"),
        ({"seed": (0, 1, 0)}, [], "seed-0 and seed-0 are the same trial"),
        (
            {"method": {"a": KD, "b": {}}},
            [],
            "method-a and method-b are the same trial",
        ),
        ({"seed,model.depth": {"programs": (1, 2)}}, [], "cannot be called programs"),
        ({}, ["seed=1,,2"], "--grid.seed is '1,,2'; expected values separated by"),
        ({}, ["seed=(1,2"], r"--grid.seed is '\(1,2'; expected .* brackets"),
        ({}, ["seed,batch_size=1,2"], "--grid.seed,batch_size: '1' is one value"),
        ({}, ["seed=1.5"], r"config\.seed is '1\.5'; expected int"),
    ),
)
def test_grids_that_are_none(axes, words, message):
    with pytest.raises(InputError, match=message):
        grid(axes, *words)
