"""A module whose code a stranger would like to run here."""

import sys

import pytest

# A module whose import alone is code that runs.
PAYLOAD = """
import pathlib
import tests.networks

pathlib.Path({marker!r}).touch()

def network(num_classes=10, **_):
    return tests.networks.coarse(num_classes)
"""


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """What exists as soon as the payload has run."""
    path = tmp_path / "ran"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "payload.py").write_text(PAYLOAD.format(marker=str(path)))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "payload", raising=False)
    yield path
    sys.modules.pop("payload", None)
