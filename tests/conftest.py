"""Eight CPU devices and strict numerics, set before anything touches a backend."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A data directory in which the embedded set is prepared."""
    from kdjax.data.sources import load_split

    directory = tmp_path_factory.mktemp("data")
    load_split("fashion_mnist_subset", "test", data_dir=directory)
    return directory
