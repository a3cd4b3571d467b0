"""Several parts from one config: what each inherits, changes and refers to."""

import pathlib

import pytest
from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.schema import plain
from kdjax.experiment.stages import split_stages

WHERE = pathlib.Path("/runs/x")


def config_of(stages, order=None):
    config = schema.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict({"name": "kd", "alpha": 1.0, "temperature": 4.0})
    config.stages = ConfigDict(stages)
    config.order = tuple(stages) if order is None else order
    return config


def test_a_part_inherits_what_it_does_not_change():
    parts = split_stages(
        config_of(
            {
                "proxy": {"seed": 7, "schedule": {"learning_rate": 0.5}},
                "last": {
                    "method": {"name": "ce"},
                    "teacher": {"workdir": "stage:proxy"},
                },
            }
        ),
        WHERE,
    )
    assert list(parts) == ["proxy", "last"]
    proxy, last = (plain(part) for part in parts.values())
    assert proxy["seed"] == 7 and last["seed"] == 0
    assert proxy["schedule"]["learning_rate"] == 0.5
    assert proxy["schedule"]["name"] == "cosine"
    assert proxy["method"]["temperature"] == 4.0
    assert last["method"] == {"name": "ce"}  # a new name is a new section
    assert last["teacher"]["workdir"] == "/runs/x/proxy"
    assert last["teacher"]["checkpoint"] == "latest"
    assert proxy["stages"] == last["stages"] == {} and last["order"] == ()


def test_the_order_is_that_of_order():
    stages = {"a": {}, "b": {}, "c": {}}
    assert list(split_stages(config_of(stages, ("c", "a", "b")), WHERE)) == list("cab")
    assert split_stages(schema.base(), WHERE) == {}


def test_references_stand_anywhere_also_in_lists_of_them():
    stages = {
        "a": {},
        "b": {},
        "c": {
            "teacher": {"workdir": "stage:a,stage:b"},
            "students": {"s": {"selection": {"name": "file", "path": "stage:b/x"}}},
            "select": {"name": "detector", "proxies": "stage:a"},
        },
    }
    part = plain(split_stages(config_of(stages), WHERE)["c"])
    assert part["teacher"]["workdir"] == "/runs/x/a,/runs/x/b"
    assert part["students"]["s"]["selection"]["path"] == "/runs/x/b/x"
    assert part["select"] == {"name": "detector", "proxies": "/runs/x/a"}


@pytest.mark.errors
@pytest.mark.parametrize(
    ("stages", "order", "message"),
    [
        (
            {"a": {}},
            ("a", "b"),
            r"config\.order is \('a', 'b'\) and config\.stages has a",
        ),
        ({"a": {}, "b": {}}, ("a",), "expected each stage once"),
        ({"a b": {}}, None, "'a b' cannot be a stage"),
        ({"a" * 151: {}}, None, "a' cannot be a stage; .* at most 150 letters"),
        ({"a": 1}, None, "'a' cannot be a stage; expected the name of a section"),
        ({"a": {"sede": 1}}, None, r"config\.stages\.a\.sede is not read.*mean seed\?"),
        (
            {"a": {"data": {"kep": "x"}}},
            None,
            r"config\.stages\.a\.data\.kep is not read.*mean keep\?",
        ),
        (
            {"first": {"teacher": {"workdir": "stage:second"}}, "second": {}},
            None,
            r"config\.stages\.first\.teacher\.workdir refers to stage:second; .*none",
        ),
        (
            {"proxy": {}, "b": {"data": {"keep": "stage:prxy"}}},
            None,
            r"stage:prxy.*Did you mean proxy\?",
        ),
    ],
)
def test_what_does_not_fit_is_named(stages, order, message):
    with pytest.raises(InputError, match=message):
        split_stages(config_of(stages, order), WHERE)
