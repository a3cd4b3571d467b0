"""Where compiled programs are kept, as on an accelerator; what memory is kept."""

import importlib.metadata
import os
import subprocess
import sys
import types

import jax
import pytest

from kdjax.contracts import InputError
from kdjax.distributed import devices

CUDA = types.SimpleNamespace(name="xla_cuda13")  # the entry point of JAX's plugin


@pytest.fixture
def kept(monkeypatch):
    """What is configured, on a device that is a GPU by its name."""
    configured = {}
    device = types.SimpleNamespace(platform="gpu")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    settings = types.SimpleNamespace(
        jax_compilation_cache_dir=None, update=configured.__setitem__
    )
    monkeypatch.setattr(jax, "config", settings)
    configured |= {"device": device, "settings": settings}
    return configured


def test_programs_are_kept_for_this_user_alone(kept, tmp_path):
    devices.keep_programs(tmp_path / "a" / "b")
    assert kept["jax_compilation_cache_dir"] == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_a_cpu_keeps_none(kept, tmp_path):
    kept["device"].platform = "cpu"
    devices.keep_programs(tmp_path / "a")
    assert "jax_compilation_cache_dir" not in kept and not (tmp_path / "a").exists()


def test_a_directory_that_is_set_stays(kept, tmp_path):
    kept["settings"].jax_compilation_cache_dir = str(tmp_path / "theirs")
    devices.keep_programs(tmp_path / "a")
    assert "jax_compilation_cache_dir" not in kept and not (tmp_path / "a").exists()


def test_a_directory_that_cannot_be_made_stops_no_training(kept, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    devices.keep_programs(tmp_path / "file" / "a")
    assert "jax_compilation_cache_dir" not in kept
    assert "not kept" in capsys.readouterr().err


# Blocks above 2 GiB, as those of wide grids are, from a thread as XLA takes them; no
# page of it is written. Prints whether memory is kept, and by how much the heap shrank.
TAKES_AND_FREES = """
import ctypes, threading
from kdjax.distributed import devices

library = ctypes.CDLL(None)
library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
tops = []

def take_and_free():
    block = library.malloc(5 * 2**29)
    tops.append(library.sbrk(0))
    library.free(block)
    tops.append(library.sbrk(0))

before = library.sbrk(0)
kept = devices.keep_memory()
thread = threading.Thread(target=take_and_free)
thread.start()
thread.join()
print(kept, tops[0] - before > 2**31, tops[1] == tops[0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
@pytest.mark.parametrize(
    "name, value",
    (("", ""), ("MALLOC_ARENA_MAX", "4"), ("GLIBC_TUNABLES", "glibc.malloc.perturb=0")),
)
def test_memory_that_was_freed_stays_unless_the_user_sets_malloc(name, value):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    env.pop("GLIBC_TUNABLES", None)
    env |= {"JAX_PLATFORMS": "cpu"} | ({name: value} if name else {})
    command = [sys.executable, "-c", TAKES_AND_FREES]
    result = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    kept, from_the_heap, stays = result.stdout.split()
    if name:
        assert (kept, from_the_heap) == ("False", "False")
    else:
        assert (kept, from_the_heap, stays) == ("True", "True", "True")


@pytest.mark.parametrize(
    "platforms, plugins, cpu_only",
    ((None, [], True), (None, [CUDA], False), ("cpu", [CUDA], True))
    + (("tpu,cpu", [], False),),
)
def test_memory_is_kept_where_no_accelerator_can_be(
    monkeypatch, platforms, plugins, cpu_only
):
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: {"jax_plugins": plugins}[group],
    )
    calls = []
    monkeypatch.setattr(devices, "keep_memory", lambda: calls.append(True))
    monkeypatch.setattr(devices, "jax", types.SimpleNamespace(config=Config(platforms)))
    monkeypatch.setenv("XLA_FLAGS", "")
    devices.configure(1, 8)
    assert bool(calls) is cpu_only


@pytest.mark.errors
@pytest.mark.parametrize("count", (0, -1))
def test_devices_are_one_or_more(count):
    with pytest.raises(InputError, match=f"--devices is {count}; expected 1 or more"):
        devices.configure(count, 8)


class Config:
    """Of JAX, as far as it is read."""

    def __init__(self, platforms):
        self.jax_platforms = platforms

    def update(self, *_):
        pass


def test_each_microbatch_is_divided_over_the_devices():
    devices.check_batch(48, microbatches=2, count=8)
    text = "is 40 and there are 8 devices for each of 2 microbatches; .* 16, such as 48"
    with pytest.raises(InputError, match=text):
        devices.check_batch(40, microbatches=2, count=8)
