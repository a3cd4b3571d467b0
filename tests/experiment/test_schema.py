"""The one table of keys: what is derived from it, and what it refuses."""

import dataclasses
import pathlib
import subprocess
import sys

import pytest
from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.experiment import fields, schema

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "config.md"


def test_the_page_of_keys_is_the_schemas():
    """`python -m kdjax.experiment.schema > docs/config.md` writes it."""
    assert PAGE.read_text() == schema.page()
    for name, field, _ in fields.keys(schema.Config):
        assert f"`{name}`" in schema.page() and field.metadata["text"], name


def test_defaults_are_dicts_of_ones_own():
    schema.nested()["data"]["crops"]["size"] = 3
    schema.nested()["optimizer"]["momentum"] = 3
    assert schema.nested()["data"]["crops"]["size"] == 224
    assert schema.nested()["optimizer"]["momentum"] == 0.9
    assert isinstance(schema.base(), ConfigDict)
    assert schema.plain(schema.base()) == schema.nested()
    schema.check_keys(schema.nested())


def test_defaults_need_no_package_of_the_commands():
    code = (
        "import sys\n"
        "for name in ('ml_collections', 'tensorflow_datasets', 'grain', 'optax'):\n"
        "    sys.modules[name] = None\n"
        "from kdjax.experiment import schema; schema.check_keys(schema.nested())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_crops_have_the_defaults_of_their_geometry():
    assert dataclasses.asdict(Geometry()) == schema.nested()["data"]["crops"]


def test_what_may_change_between_two_starts():
    free = "data.data_dir data.threads data.skip_at_most data.keep teacher.workdir "
    free += "teacher.cache initial.workdir select.proxies select.reference "
    free += "select.as_many_as log_every_steps tensorboard evaluation.batch_size "
    free += "evaluation.keep_all selection.path selection.reference "
    free += "checkpoint.every_steps checkpoint.every_minutes "
    free += "students.kd.selection.path students.tau-0.5.selection.reference"
    for name in free.split():
        assert schema.is_free(name), name
    bound = "seed data.name select.name selection.name students.kd.seed "
    bound += "students.kd.selection.name method.path data.noise.path batch_size "
    bound += "evaluation.every_epochs evaluation.every_steps"
    for name in bound.split():
        assert not schema.is_free(name), name


def changed(key, value):
    """The default config with one key set."""
    config = section = schema.nested()
    *sections, last = key.split(".")
    for name in sections:
        section = section[name]
    section[last] = value
    return config


WRONG = [
    ("batch_size", 2.0, "2.0; expected a whole number >= 1"),
    ("batch_size", True, "True; expected a whole number >= 1"),
    ("batch_size", 2**31, "2147483648; expected a whole number >= 1"),
    ("total_epochs", "3", "'3'; expected a number >= 0"),
    ("total_epochs", 1e7, "10000000.0; expected a number >= 0, at most 1000000"),
    ("tensorboard", 1, "1; expected True or False"),
    ("data.flip", "yes", "'yes'; expected True or False or None"),
    ("data.name", 3, "3; expected a string"),
    ("data.std", (0.1, 0.0), r"\(0.1, 0.0\); expected a tuple, each item a number ab"),
    ("data.mean", 0.5, "0.5; expected a tuple"),
    ("data.feed", "fast", "'fast'; expected one of auto, resident, streamed"),
    ("batch_norm", "devise", "expected one of global, device.* Did you mean device"),
    ("data", (), r"\(\); expected a section"),
    ("data.crops", 224, "224; expected a section"),
    ("order", (1,), r"\(1,\); expected a tuple, each item a string"),
    ("students", {"a": 1}, "expected a section"),
    ("seed", -1, "-1; expected a whole number >= 0, at most 4294967295"),
    ("stop_at_train_top1", 100.5, "100.5; expected a number >= 0, at most 100"),
]


@pytest.mark.parametrize("key, value, message", WRONG)
def test_a_value_that_does_not_fit(key, value, message):
    with pytest.raises(InputError, match=rf"config\.{key}.* is .*{message}"):
        schema.check_keys(changed(key, value))


def test_keys_that_are_unknown_missing_or_retired():
    with pytest.raises(InputError, match=r"data\.treads is not read.*mean threads"):
        schema.check_keys(changed("data.treads", 1))
    with pytest.raises(InputError, match=r"crops\.sise is not read.*mean size\?"):
        schema.check_keys(changed("data.crops", {"sise": 3}))
    with pytest.raises(InputError, match=r"config\.stacked is not read any more: each"):
        schema.check_keys(changed("stacked", True))
    config = schema.nested()
    config["data"]["crops"] = {"size": 32}  # the others are the defaults
    schema.check_keys(config)
    del config["data"]["threads"]
    with pytest.raises(InputError, match=r"config\.data\.threads is missing"):
        schema.check_keys(config)


def test_a_stored_config_gets_the_keys_that_came_later():
    stored = schema.resolved(schema.nested())
    del stored["batch_norm"], stored["evaluation"], stored["data"]["crops"]["sizes"]
    stored["optimizer"] = {"name": "adamw"}
    stored["stacked"] = True
    whole = schema.resolved(schema.nested()) | {"optimizer": {"name": "adamw"}}
    assert schema.with_defaults(stored) == whole
