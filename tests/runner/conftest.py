"""Commands inside the tests' own process."""

import pytest

from kdjax.distributed import devices


@pytest.fixture
def as_they_are(monkeypatch):
    """The number of devices is the tests', set when they began."""
    monkeypatch.setattr(devices, "configure", lambda *_: 8)
