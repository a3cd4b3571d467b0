"""What the tests of several processes share."""

import pytest

from kdjax.distributed import devices


@pytest.fixture
def as_they_are(monkeypatch):
    """The number of devices is the tests', set long before."""
    monkeypatch.setattr(devices, "configure_cpu", lambda *_: 8)
