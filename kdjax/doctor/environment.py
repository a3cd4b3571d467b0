"""Installed packages that must fit each other, and variables that change results."""

import importlib.metadata
import re
from collections.abc import Mapping

from kdjax.doctor.findings import Findings, note, ok, problem

PLUGINS = re.compile(r"jax[-_](cuda|rocm)\w*[-_](plugin|pjrt)|libtpu(-nightly)?")
UNSET = "Unset it, unless you want just that."
# Variable -> the values that mean nothing special, and what others do.
CHANGES = {
    "JAX_ENABLE_X64": "numbers are float64: slower, and other results",
    "JAX_DISABLE_JIT": "nothing is compiled: a hundred times slower",
    "JAX_DEBUG_NANS": "a NaN ends the process, where kdjax would skip the step",
    "JAX_DEBUG_INFS": "an infinity ends the process, where kdjax would skip the step",
    "JAX_LOG_COMPILES": "every program that is compiled is printed",
}
OFF = ("", "0", "false", "no", "off")
# Variables that may be set for a reason; results or memory depend on them.
WORTH_KNOWING = (
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DEFAULT_PRNG_IMPL",
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_NUMPY_DTYPE_PROMOTION",
    "JAX_NUMPY_RANK_PROMOTION",
    "JAX_THREEFRY_PARTITIONABLE",
    "JAX_PLATFORMS",
    "JAX_COMPILATION_CACHE_DIR",
    "NVIDIA_TF32_OVERRIDE",
    "TF_CUDNN_DETERMINISTIC",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "XLA_PYTHON_CLIENT_ALLOCATOR",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "CUDA_VISIBLE_DEVICES",
    "LIBTPU_INIT_ARGS",
)


def plugins() -> dict[str, str]:
    """Name -> version of JAX's plugins that are installed."""
    every = importlib.metadata.distributions()
    named = {one.metadata["Name"]: one.version for one in every if one.metadata["Name"]}
    return {n: v for n, v in sorted(named.items()) if PLUGINS.fullmatch(n.lower())}


def examine_plugins(installed: Mapping[str, str], jax: Mapping[str, str]) -> Findings:
    """JAX leaves out a CUDA plugin of another version than jaxlib's, with a warning."""
    jaxlib = jax["jaxlib"]
    for name, version in installed.items():
        if "cuda" in name and _release(version) != _release(jaxlib):
            text = f"{name} is {version} and jaxlib {jaxlib}: JAX does not use it"
            advice = f"pip install 'jax[{_kind(name)}]=={jaxlib}'"
            yield problem("plugins", text, advice)
    kinds = sorted({_kind(name) for name in installed if "cuda" in name})
    if len(kinds) > 1:
        text = f"both {' and '.join(kinds)} are installed; one of them is used"
        yield problem("plugins", text, f"pip uninstall those of {kinds[0]}.")
    for kind in kinds:
        parts = {"plugin", "pjrt"} - {_part(n) for n in installed if kind in n}
        if parts:
            text = f"of {kind} the part {parts.pop()} is not installed"
            yield problem("plugins", text, f"pip install 'jax[{kind}]=={jaxlib}'")
    text = ", ".join(f"{name} {version}" for name, version in installed.items())
    yield ok("plugins", text or "none: JAX computes on the CPU")


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.match(r"[\d.]*\d", version).group().split(".")))


def _kind(name: str) -> str:
    return re.search(r"cuda\d*|rocm\d*", name).group()


def _part(name: str) -> str:
    return "pjrt" if "pjrt" in name else "plugin"


def examine_variables(environ: Mapping[str, str]) -> Findings:
    for name, what in CHANGES.items():
        value = environ.get(name, "")
        if value.lower() not in OFF:
            yield problem("environment", f"{name}={value}: {what}", UNSET)
    values = {name: environ[name] for name in WORTH_KNOWING if environ.get(name)}
    for name, value in values.items():
        yield note("environment", f"{name}={value}", "")
    if not values:
        yield ok("environment", "no variable that changes results is set")
