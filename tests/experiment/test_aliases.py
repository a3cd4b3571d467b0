"""Names of settings elsewhere lead to keys that a config has."""

import pytest

from kdjax.experiment import aliases, schema
from kdjax.experiment.overrides import set_override
from kdjax.methods import METHODS

# A method that takes each key of `method` in the table.
TAKING = {"temperature": "kd", "alpha": "kd", "label_smoothing": "ce"}


@pytest.mark.parametrize("key", aliases.NAMES)
def test_a_key_of_the_table_is_one_that_can_be_set(key):
    section, _, argument = key.rpartition(".")
    if section == "method" and argument != "name":
        assert argument in METHODS[TAKING[argument]].build.__kwdefaults__ or (
            argument in METHODS[TAKING[argument]].build.__annotations__
        )
        return
    value = schema.nested()
    for name in key.split("."):
        value = value[name]
    set_override(schema.base(), key, str(value) or "kd")


def test_a_name_means_one_key_and_is_none_itself():
    names = [name for each in aliases.NAMES.values() for name in each.split()]
    assert len(names) == len(set(names))
    assert not set(names) & set(schema.nested())


def test_every_section_with_a_name_or_a_run_is_that():
    config = schema.nested()
    keys = {name: aliases.key_of(name, config) for name in config}
    plain = {name: key for name, key in keys.items() if name != key}
    assert plain.pop("teacher") == "teacher.workdir"
    assert plain.pop("initial") == "initial.workdir"
    assert plain == {name: f"{name}.name" for name in plain}
    assert set(plain) >= {"model", "method", "optimizer", "schedule", "data"}
    assert aliases.key_of("optimizer.momentum", config) == "optimizer.momentum"
