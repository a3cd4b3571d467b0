"""Where compiled programs are kept, as on an accelerator; what memory is kept."""

import os
import subprocess
import sys
import types

import jax
import pytest

from kdjax.commands import devices


@pytest.fixture
def kept(monkeypatch):
    """What is configured, on a device that says it is a GPU."""
    found = {}
    device = types.SimpleNamespace(platform="gpu")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    monkeypatch.setattr(jax.config, "update", found.__setitem__)
    found["device"] = device
    return found


def test_programs_are_kept_for_this_user_alone(kept, tmp_path):
    devices.keep_programs(tmp_path / "a" / "b")
    assert kept["jax_compilation_cache_dir"] == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_a_cpu_keeps_none(kept, tmp_path):
    kept["device"].platform = "cpu"
    devices.keep_programs(tmp_path / "a")
    assert "jax_compilation_cache_dir" not in kept and not (tmp_path / "a").exists()


def test_a_directory_that_cannot_be_made_stops_no_training(kept, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    devices.keep_programs(tmp_path / "file" / "a")
    assert "jax_compilation_cache_dir" not in kept
    assert "not kept" in capsys.readouterr().err


# 128 MiB, written twice; prints whether memory is kept and the second time's faults.
WRITES_TWICE = """
import resource, threading, numpy
from kdjax.commands import devices

def write():
    numpy.full(2**24, 1.5)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = devices.keep_memory()
write()
before = faults()
thread = threading.Thread(target=write)  # as XLA: from a thread of its own
thread.start()
thread.join()
print(kept, faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc has it")
@pytest.mark.parametrize("decided", (False, True))
def test_a_step_writes_into_the_memory_of_the_step_before(decided):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    # What the user has set stays: without, every page of 4 KiB is cleared again.
    env |= {"MALLOC_ARENA_MAX": "4", "NUMPY_MADVISE_HUGEPAGE": "0"} if decided else {}
    found = subprocess.run(
        [sys.executable, "-c", WRITES_TWICE], env=env, capture_output=True, text=True
    )
    kept, faults = found.stdout.split()
    assert (kept == "True") is not decided, found.stderr
    assert int(faults) > 16_000 if decided else int(faults) < 2_000
