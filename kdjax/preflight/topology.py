"""Described TPU slices and GPUs, as devices that programs can be compiled for."""

import importlib.util
import os
import re

import jax
from jax.experimental import topologies

from kdjax.contracts import InputError
from kdjax.preflight import gpus

EXAMPLES = "v5e:4x4, v5e:16x16, v5p:2x2x4, v6e:8x8 or v4:2x2x4"
PATTERN = r"((?:v|tpu)\d+[a-z]*):([1-9]\d*(?:x[1-9]\d*){1,2})"
# Slices that can be rented, from Google's pages on v4, v5e, v5p and v6e; of v4 and v5p
# any larger multiple of four chips an axis too.
FLAT = "1x1, 2x2, 2x4, 4x4, 4x8, 8x8, 8x16 and 16x16"
SOLID = "2x2x1, 2x2x2, 2x2x4, 2x4x4, 4x4x4, 4x4x8, 4x8x8 and 8x8x8"
KNOWN = f"v5e and v6e have {FLAT}; v4 and v5p have {SOLID}, and larger ones"
# libtpu queries the metadata server of a TPU virtual machine. Without these each query
# waits and prints an error.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # there is none
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",  # of any slice: its name decides
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # there is no chip to lock
}


def describe(name: str, slices: int = 1) -> list:
    """The devices of a slice, of several, or GPUs. Programs compile and never run.

    Call it before the first computation: JAX must not look for a TPU or GPU. Raises
    InputError if the name is no topology, its compiler knows no such slice, or that
    compiler is not installed.
    """
    if match := re.fullmatch(gpus.PATTERN, name):
        if slices > 1:
            raise InputError(f"--slices is {slices}; it is of TPUs, not of {name}.")
        kind, count = match.groups()
        return gpus.describe(kind, int(count))
    _prepare(name)
    # What JAX on such machines has, and libtpu does not take for granted.
    kind, chips = re.fullmatch(PATTERN, name).groups()
    options = {"num_slices": slices} if slices > 1 else {}
    if kind == "v4":
        options["chip_config_name"] = "megacore"  # a chip's two cores are one device
    if chips == "1x1":
        options["chips_per_host_bounds"] = [1, 1, 1]
    try:
        return topologies.get_topology_desc(name, platform="tpu", **options).devices
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0].removesuffix(".")
        raise InputError(
            f"--topology={name}: the compiler knows no such slice ({first}). Expected "
            f"one that can be rented: {KNOWN}."
        ) from error


def _prepare(name: str) -> None:
    if not re.fullmatch(PATTERN, name):
        raise InputError(
            f"--topology is {name!r}; expected a kind of TPU and the chips of a slice "
            f"along each axis, such as {EXAMPLES}; or a kind of GPU and how many, such "
            f"as {gpus.EXAMPLES}. {KNOWN}."
        )
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "--topology needs libtpu, the compiler for TPUs, and it is not installed; "
            "expected pip install 'PATH/TO/kdjax[preflight]', the path of your clone. "
            "No TPU is needed."
        )
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    jax.config.update("jax_platforms", "cpu")
