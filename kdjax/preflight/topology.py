"""TPU slices that are not there, as devices that programs can be compiled for."""

import importlib.util
import os
import re

import jax
from jax.experimental import topologies

from kdjax.contracts import InputError

EXAMPLES = "v4:2x2x4, v5e:4x4, v5e:16x16, v5p:2x2x4 or v6e:4x4"
PATTERN = r"(v|tpu)\d+[a-z]*:[1-9]\d*(x[1-9]\d*){1,2}"


def prepare(name: str) -> None:
    """Keeps JAX from looking for a TPU; call it before the first computation.

    Raises:
      InputError: the name is no topology, or libtpu, the compiler, is not installed.
    """
    if not re.fullmatch(PATTERN, name):
        raise InputError(
            f"--topology is {name!r}; expected a kind of TPU and the chips of a slice "
            f"along each axis, such as {EXAMPLES}."
        )
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "--topology needs libtpu, the compiler for TPUs, and it is not installed; "
            "expected pip install '.[preflight]'. No TPU is needed."
        )
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"  # there is no metadata server to ask
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # nor a chip to lock
    jax.config.update("jax_platforms", "cpu")


def describe(name: str) -> list:
    """The devices of a slice. Programs compile for them and never run.

    Raises:
      InputError: libtpu knows no such slice.
    """
    try:
        return topologies.get_topology_desc(name, platform="tpu").devices
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(
            f"--topology={name}: libtpu knows no such slice: {first}. Expected one "
            f"that can be rented, such as {EXAMPLES}."
        ) from error
