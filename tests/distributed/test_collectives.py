"""What processes exchange, with threads in their place and a store of their own."""

import json
import random
import threading
import time

import jax
import pytest

from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.distributed import process_group as groups
from kdjax.distributed.process_group import PeerLostError, ProcessGroup
from kdjax.runner import workdir


class Store:
    """The key-value store of JAX's coordinator, as far as it is used."""

    def __init__(self, processes):
        self.values, self.changed = {}, threading.Condition()
        self.barriers, self.processes = {}, processes

    def key_value_set(self, key, value):
        with self.changed:
            if key in self.values:
                raise jax.errors.JaxRuntimeError(f"ALREADY_EXISTS: {key}")
            self.values[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, milliseconds):
        with self.changed:
            if not self.changed.wait_for(
                lambda: key in self.values, milliseconds / 1e3
            ):
                raise jax.errors.JaxRuntimeError(f"DEADLINE_EXCEEDED: {key}")
            return self.values[key]

    def key_value_dir_get(self, directory):
        with self.changed:
            return [(k, v) for k, v in self.values.items() if k.startswith(directory)]

    def key_value_delete(self, directory):
        with self.changed:
            for key in [key for key in self.values if key.startswith(directory)]:
                del self.values[key]

    def wait_at_barrier(self, name, milliseconds):
        with self.changed:
            new = threading.Barrier(self.processes)
            barrier = self.barriers.setdefault(name, new)
        barrier.wait(milliseconds / 1e3)


def run(count, work):
    """Calls work(group, number) in a thread for each; what they return."""
    store, results, errors = Store(count), [None] * count, []

    def one(number):
        group = ProcessGroup(store, number, count)
        try:
            results[number] = work(group, number)
        except BaseException as error:
            errors.append(error)
        group.leave()

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("seed", range(12))
def test_all_stop_at_the_same_step_whichever_requests_it(seed):
    """However fast each one is: also in the next training, if it was the last step.

    As in a training, whose steps wait for each other, none is far ahead.
    """
    draw = random.Random(seed)
    count, request = draw.choice((2, 3, 5)), draw.randrange(1, 20)
    pauses = [draw.uniform(0, 0.004) for _ in range(count)]
    passed_by, moved = [0] * count, threading.Condition()

    def pace(number, passed):
        time.sleep(pauses[number])
        with moved:
            passed_by[number] = passed
            moved.notify_all()
            moved.wait_for(lambda: passed <= min(passed_by) + 8, 30)

    def work(group, number):
        passed = 0
        for training in range(100):
            should_stop = group.stopper()
            for done in range(1, 31):
                passed += 1
                pace(number, passed)
                wants = passed == request and number == count - 1
                reason = should_stop(done, "as its time is up" if wants else "")
                if reason:
                    pace(number, 10_000)  # the others need not wait for it
                    return training, done, reason
        return None

    results = run(count, work)
    assert results[0] is not None and set(results) == {results[0]}
    training, done, reason = results[0]
    assert reason == "as its time is up" and 30 * training + done > request


def test_several_reasons_are_one():
    def work(group, number):
        should_stop = group.stopper()
        for done in range(1, 10_000):
            time.sleep(0.001)  # one that is faster than the event runs to the end
            reason = should_stop(done, f"by {number}" if done > 2 else "")
            if reason:
                return done, reason

    assert len(set(run(4, work))) == 1


def test_one_that_is_lost_does_not_keep_the_others_from_ending_when_all_stop(
    monkeypatch,
):
    """The last of three is silent, and another one wants to stop: 42 for both."""
    codes, ended = [], threading.Semaphore(0)

    def note(code):
        codes.append(code)
        ended.release()

    monkeypatch.setattr(groups, "exit_now", note)
    monkeypatch.setattr(groups, "_GRACE", 0.1)
    store = Store(3)
    first, second = (ProcessGroup(store, number, 3) for number in (0, 1))
    stoppers = [group.stopper() for group in (first, second)]
    assert stoppers[1](1, "SIGTERM came") == ""
    # As in a training: their next steps wait until all have said where they are.
    for should_stop in stoppers:
        threading.Thread(target=should_stop, args=(2, ""), daemon=True).start()
    first.lose(2, 60.0)
    assert all(ended.acquire(timeout=10) for _ in range(2)), codes
    assert codes == [42, 42]
    store.key_value_set("kdjax/reached/2", "[1, 1]")  # so that no thread is left
    first._publish({"kind": "end"})
    for group in (first, second):
        group._thread.join(10)
        assert not group._thread.is_alive()


def test_broadcast_and_all_gather():
    def work(group, number):
        shared = group.broadcast(lambda: {"first": number})
        return shared, group.all_gather([number]), group.broadcast(lambda: number)

    assert run(3, work) == [({"first": 0}, [[0], [1], [2]], 0)] * 3


def test_gather_brings_all_values_to_process_0_and_leaves_none():
    """Also where the others are far ahead; they wait for nobody."""
    stores = []

    def work(group, number):
        stores.append(group._client)
        time.sleep(0.05 * (number == 0))
        return [group.gather([step, number]) for step in range(3)]

    first, *rest = run(3, work)
    assert first == [[[step, i] for i in range(3)] for step in range(3)]
    assert rest == [[[[step, i]] for step in range(3)] for i in (1, 2)]
    assert not [key for key in stores[0].values if "gather" in key]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_one_process_ends_all(monkeypatch, capsys):
    """The others end with its code, and process 0 ends last."""
    left, order = {}, []

    def leave(code):
        order.append(threading.current_thread().name)
        left[threading.current_thread().name] = code
        raise SystemExit

    monkeypatch.setattr(groups, "exit_now", leave)
    registered = []
    monkeypatch.setattr(
        groups.atexit, "register", lambda *call: registered.append(call)
    )
    store = Store(3)
    members = [ProcessGroup(store, i, 3) for i in range(3)]
    for number, one in enumerate(members):
        one._thread.name = str(number)
    assert members[1].fail(InputError("no such key")).args == ("no such key",)
    for one in (members[0], members[2]):
        one._thread.join(20)
    assert left == {"0": 2, "2": 2} and order == ["2", "0"]
    assert [code for _, code in registered] == [2]
    members[1]._publish({"kind": "end"})
    members[1]._thread.join(20)
    err = capsys.readouterr().err
    assert err.count("process 1 of 3 failed: InputError: no such key") == 2


def test_a_lost_connection_is_no_bug(monkeypatch):
    monkeypatch.setattr(groups, "_GRACE", 0.1)
    monkeypatch.setattr(groups.atexit, "register", lambda *call: None)

    def failed(error, cause=None):
        error.__cause__ = cause
        group = ProcessGroup(Store(2), 0, 2)
        final = group.fail(error)
        group._publish({"kind": "end"})
        return final

    lost = jax.errors.JaxRuntimeError("INTERNAL: Gloo: Connection closed by peer")
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
    assert isinstance(failed(lost), PeerLostError) and PeerLostError.exit_code == 42
    assert isinstance(failed(RuntimeError("could not save"), lost), PeerLostError)
    assert failed(full) is full and groups.exit_code_of(full) == 1
    assert (
        groups.exit_code_of(OSError()) == 4 and groups.exit_code_of(InputError()) == 2
    )


def of_a_user():
    return len(7)


@pytest.mark.errors
def test_an_error_of_a_user_s_code_ends_all_with_2_and_says_where(monkeypatch):
    monkeypatch.setattr(groups, "_GRACE", 0.1)
    monkeypatch.setattr(groups.atexit, "register", lambda *call: None)
    store = Store(2)
    group = ProcessGroup(store, 1, 2)
    with pytest.raises(TypeError) as caught:
        collectives.broadcast(of_a_user)  # alone here: called by kdjax
    final = group.fail(caught.value)
    group._publish({"kind": "end"})
    assert isinstance(final, InputError) and groups.exit_code_of(final) == 2
    event = json.loads(store.values["kdjax/event/0"])
    assert event["code"] == 2 and "in of_a_user: TypeError" in event["reason"]


@pytest.fixture
def second(monkeypatch):
    """This process is the second of two; what the first one broadcasts can be set."""
    first = {"word": "abc"}
    monkeypatch.setattr(collectives, "processes", lambda: 2)
    monkeypatch.setattr(collectives, "is_primary", lambda: False)
    monkeypatch.setattr(collectives, "broadcast", lambda make: first["word"])
    monkeypatch.setattr(collectives, "barrier", lambda: None)
    return first


@pytest.mark.errors
def test_a_directory_that_is_not_shared(second, tmp_path, monkeypatch):
    monkeypatch.setattr(workdir, "SHARED_WITHIN", 0.2)
    with pytest.raises(InputError, match=f"{tmp_path} on .* network file system"):
        with workdir.locked(tmp_path):
            raise AssertionError("it went on")
    (tmp_path / workdir.SHARED).write_text("abc")
    with workdir.locked(tmp_path):
        assert not (tmp_path / workdir.LOCK).exists()  # the first one holds it
