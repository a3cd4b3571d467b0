"""A clock for the loop and what counts its time."""

import types

import pytest

from kdjax.training import goodput, loop


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = types.SimpleNamespace(seconds=100.0)

    def second(step=0):
        now.seconds += 1.0

    stopped = types.SimpleNamespace(monotonic=lambda: now.seconds, tick=second)
    monkeypatch.setattr(loop, "time", stopped)
    monkeypatch.setattr(goodput, "time", stopped)
    return second
