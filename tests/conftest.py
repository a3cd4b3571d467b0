"""Eight CPU devices and strict numerics, set before anything touches a backend."""

import gc
import os
import signal

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


# Compiling is most of what the tests do, and each program makes few steps: LLVM's
# optimisations take longer than they save. Commands that tests start have it as well.
LEVEL = "--xla_backend_optimization_level"
FLAGS = f"{LEVEL}=0"
if jax.__version_info__ < (0, 11):  # later ones end at a flag that they do not know
    FLAGS += " --xla_cpu_use_fusion_emitters=false"  # these take half of the compiling


def pytest_configure(config):
    """Compiles quickly, and keeps programs in pytest's cache for all processes.

    Workers and the commands they start compile many programs that others have compiled,
    and that is most of what the tests do; `pytest --cache-clear` forgets them.
    """
    gc.set_threshold(100_000, 20, 50)  # what JAX traces is many small objects
    # Shells start what runs in the background so that signals are ignored, also by what
    # the tests start; kdjax leaves it at that, and the tests would wait for ever.
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    flags = os.environ.get("XLA_FLAGS", "")
    if LEVEL not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {FLAGS}".strip()
    if not hasattr(config, "cache"):  # -p no:cacheprovider
        return
    kept = {
        "jax_compilation_cache_dir": str(config.cache.mkdir("programs")),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
    }
    for name, value in kept.items():
        os.environ.setdefault(name.upper(), str(value))
        jax.config.update(name, type(value)(os.environ[name.upper()]))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A data directory in which the embedded set is prepared."""
    from kdjax.data.load import load_split

    directory = tmp_path_factory.mktemp("data")
    load_split("fashion_mnist_subset", "test", data_dir=directory)
    return directory


@pytest.fixture
def as_they_are(monkeypatch):
    """Commands leave the number of devices as it is set above."""
    from kdjax.distributed import devices

    monkeypatch.setattr(devices, "configure", lambda *_: 8)


@pytest.fixture
def own_networks():
    """The networks in tests/networks.py may be named by workdirs."""
    from kdjax.experiment.builders import allow_code
    from tests import networks

    with allow_code(*(f"tests.networks:{name}" for name in vars(networks))):
        yield
