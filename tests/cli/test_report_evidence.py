"""What `report` asks of networks, by its options."""

import argparse

import jax
import pytest

from kdjax.cli import evidence
from kdjax.runner import evidence as runner

pytestmark = pytest.mark.usefixtures("as_they_are")


def options(*words):
    parser = argparse.ArgumentParser()
    evidence.add_options(parser)
    return parser.parse_args(words)


@pytest.fixture
def calls(monkeypatch):
    calls = []

    def recorded(runs, **keys):
        calls.append((runs, keys))
        return ["section"]

    monkeypatch.setattr(runner, "evidence_sections", recorded)
    return calls


def test_options_reach_the_networks(calls, tmp_path):
    given = options("--classes=a,b,c", "--data_dir=images")
    assert evidence.sections([tmp_path], given) == ["section"]
    assert calls == [([tmp_path], {"classes": "a,b,c", "data_dir": "images"})]


def test_no_networks(calls, tmp_path):
    assert evidence.sections([tmp_path], options("--no_networks")) == [] == calls


def test_a_device_that_is_taken_is_said(calls, tmp_path, monkeypatch, capsys):
    def taken():
        raise RuntimeError("The TPU is already in use by process 7.")

    monkeypatch.setattr(jax, "devices", taken)
    (section,) = evidence.sections([tmp_path], options())
    assert calls == []
    for said in (capsys.readouterr().err, section.blocks[0]):
        assert "in use by process 7. Expected a free device" in said
