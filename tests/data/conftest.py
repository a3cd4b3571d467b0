"""One prepared copy of the embedded set for all the tests of this folder."""

import pytest

from kdjax.datasets.prepare import prepare


@pytest.fixture(scope="session")
def embedded_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("embedded")
    prepare("fashion_mnist_subset", data_dir=data_dir)
    return data_dir


@pytest.fixture
def no_network(monkeypatch):
    """Refuses every connection and lists what was attempted."""
    attempts = []

    def refuse(*arguments, **_):
        attempts.append(arguments)
        raise OSError("the test has no network")

    for name in ("socket.create_connection", "socket.getaddrinfo"):
        monkeypatch.setattr(name, refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    return attempts
