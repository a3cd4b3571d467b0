"""Which platform a program is traced for: some layers have a form for each."""

import contextlib
import contextvars

import jax

# Where this process computes with something else.
_elsewhere = contextvars.ContextVar("platform", default=None)
_GPUS = ("cuda", "rocm")


@contextlib.contextmanager
def traced_for(platform: str):
    """Networks that are traced in here are to run on "cpu", "gpu" or "tpu"."""
    token = _elsewhere.set("gpu" if platform in _GPUS else platform)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def target_platform() -> str:
    """What is traced now is to run on "cpu", "gpu" or "tpu": JAX's default, if none.

    >>> with traced_for("cuda"):
    ...     print(target_platform())
    gpu
    """
    return _elsewhere.get() or jax.default_backend()
