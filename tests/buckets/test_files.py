"""The lease of a directory in a bucket, and how files are written there."""

import contextlib
import threading
import time

import pytest

from kdjax import paths
from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.paths import files
from kdjax.reporting import growing
from kdjax.runner import lease, workdir
from tests.buckets.commands import is_refused, train, until

pytestmark = pytest.mark.filterwarnings("default")


def test_of_two_live_runs_one_is_refused(where):
    with workdir.locked(where):
        assert is_refused(where)
        time.sleep(2 * lease.EXPIRY)
        assert is_refused(where)
    with workdir.locked(where):  # given back: nobody waits
        pass
    assert not (where / lease.LOCK).exists()


def test_of_two_that_wait_for_a_dead_run_one_is_refused(where, monkeypatch):
    (where / lease.LOCK).write_text("of a dead run")
    both, plain = threading.Barrier(2), lease._Lease._await_expiry

    def wait(self, last):
        last = plain(self, last)
        both.wait(30.0)  # to the same moment
        return last

    monkeypatch.setattr(lease._Lease, "_await_expiry", wait)
    holds, refusals = [], []

    def hold(stack):
        try:
            lease.hold(where, stack)
            holds.append(stack)
        except InputError as error:
            refusals.append(str(error))

    with contextlib.ExitStack() as one, contextlib.ExitStack() as other:
        threads = [threading.Thread(target=hold, args=[s]) for s in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(holds) == 1 and len(refusals) == 1, refusals
        assert "another run is writing" in refusals[0]
        monkeypatch.undo()
        assert is_refused(where)


def test_a_run_whose_lease_was_taken_ends(where, monkeypatch):
    """As of a machine that was suspended for minutes."""
    left = threading.Event()
    monkeypatch.setattr(lease, "_leave", lambda *_: left.set())
    with workdir.locked(where):
        time.sleep(3 * lease.BEAT)
        assert not left.is_set()
        (where / lease.LOCK).write_text("another run's")
        assert left.wait(10.0)
    assert (where / lease.LOCK).read_text() == "another run's"


def test_a_run_that_cannot_write_its_lease_ends_before_it_expires(where, monkeypatch):
    calls, left = [], threading.Event()

    def leave(*how):
        calls.append((time.monotonic(), *how))
        left.set()

    def fail(*_):
        raise OSError("no network")

    monkeypatch.setattr(lease, "_leave", leave)
    monkeypatch.setattr(lease, "ANSWER", 0.1)
    with workdir.locked(where):
        monkeypatch.setattr(lease._Lease, "_write", fail)
        start = time.monotonic()
        assert left.wait(10.0)
    when, _, why, code = calls[0]
    assert when - start < lease.EXPIRY and (why, code) == ("could not be held", 42)


def test_a_bucket_that_is_not_there(bucket, capsys):
    assert main(train("gs://nobody-has-it/run")) == 2
    error = capsys.readouterr().err
    assert "--workdir: cannot write to gs://nobody-has-it/run" in error
    assert main(train("gs://x/run")) == 2  # too short for a name
    assert "Invalid GCS bucket name" in capsys.readouterr().err
    assert main(["evaluate", "--workdir=gs://nobody-has-it/run"]) == 2
    assert "no checkpoints here" in capsys.readouterr().err


def test_rows_are_sent_while_a_file_grows(where, monkeypatch):
    monkeypatch.setattr(growing, "SEND_EVERY", 0.1)
    path = where / "rows"
    file = growing.open_append(path)
    file.write(b"1\n")
    until(lambda: path.exists() and path.read_bytes() == b"1\n")
    monkeypatch.setattr(growing, "SEND_EVERY", 1000.0)
    file.close()
    file = growing.open_append(path)
    file.write(b"2\n")
    file.write(b"3\n")
    assert path.read_bytes() == b"1\n"
    file.close()
    assert path.read_bytes() == b"1\n2\n3\n"


def test_an_error_leaves_what_was_there(where):
    path = where / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.written(path) as part:
        part.write_text("half of it")
        raise ZeroDivisionError
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ("lr=[0.1]", "a*", "what?", "n#1"))
def test_names_that_tools_read_as_patterns(bucket, name):
    with pytest.raises(InputError, match="--workdir is .*read as patterns"):
        paths.parse(f"{bucket}/{name}", "--workdir")
