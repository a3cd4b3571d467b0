"""SIGTERM, SIGINT and SIGHUP at any moment: one line at once, an end within seconds."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from kdjax import signals
from kdjax.__main__ import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
HEAD = """
import hashlib, signal, sys, time
from kdjax import signals

def in_c(seconds=60):
    # No signal interrupts it, and other threads run: as XLA compiles.
    hashlib.pbkdf2_hmac("sha256", b"", b"", int(seconds * 10**6))

with signals.watched("kdjax x", final=True):
    print("ready", flush=True)
"""


class Process:
    """A process without JAX that is in one of the states of a command."""

    def __init__(self, code: str):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + code],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
            cwd=ROOT,
        )
        assert self.process.stdout.readline() == "ready\n"

    def send(self, number) -> float:
        """Sends a signal; seconds until the first line."""
        time.sleep(0.5)  # it was "ready" before it began
        started = time.monotonic()
        self.process.send_signal(number)
        self.line, error = "", self.process.stderr.fileno()
        # `readline` would take what follows as well, and `communicate` lose that.
        while not self.line.endswith("\n") and (one := os.read(error, 1)):
            self.line += one.decode()
        return time.monotonic() - started

    def end(self, seconds=20.0) -> tuple[int, str]:
        """(exit code, what else it printed)"""
        text = self.process.communicate(timeout=seconds)[1]
        return self.process.returncode, text


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_while_xla_compiles_is_answered_at_once(number):
    process, started = Process("    in_c()"), time.monotonic()
    assert process.send(number) < 1.5
    name = signal.Signals(number).name
    assert process.line.startswith(f"kdjax x: {name}: stopped before anything was")
    assert process.end() == (128 + number, "")
    assert time.monotonic() - started < 15


def test_with_a_state_that_is_saved_it_is_42():
    process = Process("    signals.resumable(); in_c()")
    process.send(signal.SIGTERM)
    assert "the same command goes on from it" in process.line
    assert process.end() == (42, "")


DEFERRED = """
    with signals.deferred(lambda: "saving the state of step 3") as stop:
        while not stop.noted:
            time.sleep(0.01)
        time.sleep(SECONDS)
        print("saved", file=sys.stderr)
"""


def test_a_state_is_saved_however_long_it_takes():
    process = Process(DEFERRED.replace("SECONDS", "4"))
    process.send(signal.SIGHUP)
    assert process.line == (
        "kdjax x: SIGHUP: saving the state of step 3; a second signal ends at once\n"
    )
    assert process.end() == (0, "saved\n")


def test_a_second_signal_ends_at_once_but_no_echo_of_the_first():
    process = Process(DEFERRED.replace("SECONDS", "60"))
    process.send(signal.SIGINT)
    process.process.send_signal(signal.SIGINT)  # a launcher sends it as well
    time.sleep(1.2)
    process.process.send_signal(signal.SIGHUP)  # the terminal closes
    time.sleep(0.5)
    assert process.process.poll() is None
    process.process.send_signal(signal.SIGINT)
    assert process.end() == (130, "kdjax x: SIGINT again: ends at once\n")


def test_an_exception_that_is_swallowed_is_raised_again():
    """Destructors let none through, and JAX has places that catch all."""
    code = """
    class Slow:
        def __del__(self):
            time.sleep(2)

    try:
        Slow()
        time.sleep(20)
    except:
        pass
    time.sleep(20)
"""
    process, started = Process(code), time.monotonic()
    process.send(signal.SIGTERM)
    code, text = process.end()
    assert code == 1 and text.rstrip().endswith("Stopped: SIGTERM")
    assert time.monotonic() - started < 10


def test_what_cleans_up_is_not_disturbed_and_cannot_take_for_ever(monkeypatch):
    code = """
    signals.UNWIND = 2.0
    try:
        time.sleep(20)
    finally:
        time.sleep(1.2)
        print("clean", file=sys.stderr)
        time.sleep(20)
"""
    process = Process(code)
    process.send(signal.SIGTERM)
    assert process.end() == (143, "clean\n")


def test_after_the_end_the_exit_code_is_the_command_s_own():
    code = """
    signals.finished()
    time.sleep(1)
print("over", flush=True)
time.sleep(1)
sys.exit(7)
"""
    process = Process(code)
    time.sleep(0.5)  # it was "ready" before it was finished
    process.process.send_signal(signal.SIGINT)
    assert process.process.stdout.readline() == "over\n"
    process.process.send_signal(signal.SIGTERM)
    assert process.end() == (7, "")


def test_what_nohup_ignores_stays_ignored():
    # Processes inherit it. `preexec_fn` would fork, which JAX warns of.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = Process("    time.sleep(1)")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.process.send_signal(signal.SIGHUP)
    assert process.end() == (0, "")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_ends_in_one_line(command, monkeypatch, capfd):
    """In whatever it does first: its arguments."""
    import argparse

    from kdjax.__main__ import main

    def parse(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    before = signal.getsignal(signal.SIGTERM)
    assert main([command, "x", "--config=x", "--workdir=x", "--seconds=1"]) == 143
    time.sleep(0.1)
    error = capfd.readouterr().err
    assert error.startswith(f"kdjax {command}: SIGTERM: stopped before anything")
    assert len(error.splitlines()) == 1
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_while_jax_is_imported(number):
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "kdjax", "train"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    for line in process.stderr:
        if line.rstrip().endswith(" numpy"):  # JAX itself comes next
            process.send_signal(number)
            break
    text = process.communicate(timeout=60)[1]
    said = [x for x in text.splitlines() if "import time" not in x]
    assert process.returncode == 128 + number, text[-500:]
    name = signal.Signals(number).name
    assert len(said) == 1 and f"kdjax train: {name}: stopped before" in said[0]


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_a_process_that_calls_a_command_outlives_its_imports(number, monkeypatch):
    """A notebook: Ctrl-C while JAX is imported ends the command alone."""
    from kdjax import __main__

    ends = []

    def import_module(name):
        os.kill(os.getpid(), number)
        time.sleep(1)  # the thread that listens has looked by then
        raise AssertionError("the import went on")

    monkeypatch.setattr(signals.os, "_exit", ends.append)
    monkeypatch.setattr(__main__.importlib, "import_module", import_module)
    assert __main__.main(["train"]) == 128 + number
    assert ends == []


NOTEBOOK = """
with signals.watched("kdjax x", final=True):
    pass
print("ready", flush=True)
try:
    with signals.watched("kdjax"):  # as the functions of Python's interface have it
        in_c(5)
except KeyboardInterrupt:
    print("still here", flush=True)
"""


def test_a_process_that_goes_on_is_ended_by_no_signal():
    """A notebook: not while C runs for long, nor by the second one."""
    process = Process(NOTEBOOK)
    assert process.process.stdout.readline() == "ready\n"
    process.send(signal.SIGINT)
    time.sleep(signals.REPEAT + 0.5)
    process.process.send_signal(signal.SIGINT)
    code, _ = process.end()
    assert code == 0


def test_a_command_that_ends_at_once_has_said_why(monkeypatch):
    """The line is another thread's, which may come late to it."""
    said = []

    def slow(watch, text):
        time.sleep(0.3)
        said.append(text)

    monkeypatch.setattr(signals._Watch, "_say", slow)
    monkeypatch.setattr(os, "_exit", lambda code: said.append(code))
    with signals.watched("kdjax x", final=False):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except signals.Stopped:
            assert signals.ending() == 130
        signals.leave()
    assert [str(one)[:7] for one in said] == ["SIGINT:", "130"]


class Destroyed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)  # Python's handler runs, and nothing leaves a destructor


def in_a_destructor():
    Destroyed()


def in_the_last_save():
    with signals.deferred(lambda: "saving") as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        assert stop.noted


@pytest.mark.parametrize("work", (in_a_destructor, in_the_last_save))
def test_the_next_line_of_a_script_does_not_run_after_a_signal(work):
    """As in one that trains a teacher and then a student."""
    with pytest.raises(signals.Stopped):
        with signals.watched("kdjax"):
            work()
    with signals.watched("kdjax"):  # the next one is not stopped by it
        pass
