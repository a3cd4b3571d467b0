"""Configs: values of any type at any key, and overrides of any text."""

import json
import math

import pytest
from hypothesis import strategies as st

from kdjax.contracts import InputError
from kdjax.experiment import fields, schema
from kdjax.experiment.overrides import set_override, split_overrides
from tests.faults import draws, fuzz

KEYS = [path for path, _, _ in fields.keys(schema.Config)]
SECTIONS = sorted({path.rpartition(".")[0] for path in KEYS} - {""})
CASES = 1500
texts = st.text(max_size=12) | st.sampled_from(
    (
        *("", " ", "0", "-1", "nan", "inf", "1e400", "9" * 5000, "True", "None", "''"),
        *("(1,)", "[1]", "{}", "{'name': 'x'}", "{[]: 1}", "{1: 2}", "\0", "\ud800"),
        *("[" * 500, "-" * 5000 + "1", "1j", "b'x'", "lambda: 1", "{'a.b': 1}", "x=1"),
        *("__import__('os')", "{'name': {'name': 1}}", "((),)", "x" * 300, "\u2028"),
    )
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.binary(max_size=3)
    | st.complex_numbers()
    | st.integers(0, len(draws.WRONG) - 1).map(lambda i: draws.WRONG[i]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(texts | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)
paths = st.sampled_from([*KEYS, *SECTIONS]) | st.lists(
    st.sampled_from(sorted({part for path in KEYS for part in path.split(".")} | {""}))
    | texts,
    min_size=1,
    max_size=4,
).map(".".join)


# What has failed once: names that no message should repeat.
FAILED = [
    [("students", {"9" * 5000: None})],
    [("students", {"9" * 5000: {}})],
    [("students", {"a": {"9" * 5000: None}})],
]


def refused(error: InputError) -> None:
    text = str(error)
    assert isinstance(error, InputError) and text.strip(), repr(error)
    assert len(text) < 2000, len(text)


def put(config: dict, path: str, value) -> None:
    *sections, last = path.split(".")
    for name in sections:
        if not isinstance(config.get(name), dict):
            config[name] = {}
        config = config[name]
    config[last] = value


@fuzz.times
def test_any_value_at_any_key(times):
    def one(drawn):
        config = schema.nested()
        for path, value in drawn:
            put(config, path, value)
        try:
            config = schema.plain(config)
            schema.check_keys(config)
        except InputError as error:
            refused(error)
            return
        text = json.dumps(schema.resolved(config), allow_nan=False)
        again = schema.with_defaults(json.loads(text))
        # A partial section, such as {} for data.crops, is filled when it is read.
        assert schema.resolved(again) == schema.with_defaults(schema.resolved(config))

    drawn = st.lists(st.tuples(paths, values), min_size=1, max_size=2)
    fuzz.run(one, CASES * times, drawn, examples=FAILED)


@fuzz.times
def test_any_text_as_an_override(times):
    base = schema.base()

    def one(drawn):
        config = base.copy_and_resolve_references()
        try:
            for key, text in drawn:
                set_override(config, key, text)
            schema.check_keys(schema.plain(config))
        except InputError as error:
            refused(error)

    fuzz.run(
        one, CASES * times, st.lists(st.tuples(paths, texts), min_size=1, max_size=3)
    )


@fuzz.times
def test_any_words_of_a_command_line(times):
    words = texts | st.tuples(paths, texts).map(lambda p: f"--config.{p[0]}={p[1]}")

    def one(argv):
        try:
            rest, overrides = split_overrides(argv)
        except InputError as error:
            refused(error)
        else:
            assert len(rest) + len(overrides) <= len(argv)

    fuzz.run(one, CASES * times, st.lists(words, max_size=4))


@pytest.mark.parametrize("path", KEYS)
def test_each_key_by_every_wrong_value(path):
    """What a key takes is of its type and in its limits."""
    field = next(one for name, one, _ in fields.keys(schema.Config) if name == path)
    limits, choices = field.metadata["limits"], field.metadata["choices"]
    for value in (*draws.WRONG, math.inf, {"name": ""}):
        try:
            fields.check_value(path, field.type, value, limits, choices)
        except InputError as error:
            refused(error)
            assert str(error).startswith(f"{path} is "), str(error)
        else:
            assert fields.fits(field.type, value)
            assert not isinstance(value, float) or math.isfinite(value)
