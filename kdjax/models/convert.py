"""Whatever a user has as a network, as a `Network`."""

import functools
import hashlib
import inspect
import re
import sys
from typing import Any

import jax
import jax.numpy as jnp

from kdjax.contracts import InputError
from kdjax.models.network import Network, from_linen

EXPECTED = (
    "a name of kdjax.models.MODELS, a module of flax.linen, flax.nnx or equinox, a "
    "function of rngs (NNX) or key (Equinox) that makes one, or a Network"
)


def as_network(what: str, given: Any) -> tuple[str, Network]:
    """(a name, the network) of a module, of a function that makes one, or of itself.

    The name says what it is in a config: a module of other sizes has another one.
    `what` opens the InputError for anything else.
    """
    if isinstance(given, Network):
        return "network", given
    if hasattr(given, "lazy_init") and not isinstance(given, type):  # Linen's alone
        # Without addresses, which another process has others of.
        text = re.sub(r" at 0x[0-9a-f]+", "", repr(given))
        return f"{type(given).__name__}-{_digest(text)}", from_linen(given)
    library, network = "nnx", _of_nnx(given)
    if network is None:
        library, network = "equinox", _of_equinox(given)
    if network is None:
        hint = ""
        if isinstance(given, type) and hasattr(given, "lazy_init"):
            hint = f" {given.__name__} is a class: give {given.__name__}(...)."
        raise InputError(
            f"{what} is {type(given).__name__}; expected {EXPECTED}.{hint}"
        )
    images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    # Of its arrays' names and shapes: whoever loads the run may give the class, and
    # have trained a function of it.
    return f"{library}-{_digest(repr(shapes))}", network


def has_weights(given: Any) -> bool:
    """Whether it is a module of NNX or Equinox, which has its arrays with it.

    Or (module, state) of Equinox; (module, params, batch_stats) has others.
    """
    if isinstance(given, tuple) and len(given) == 2:
        state = getattr(sys.modules.get("equinox.nn"), "State", None)
        given = given[0] if state and isinstance(given[1], state) else None
    return any(kind and isinstance(given, kind) for kind in _module_classes())


def _of_nnx(given: Any) -> Network | None:
    module, _ = _module_classes()
    if module and (isinstance(given, module) or _makes(given, module, "rngs")):
        from kdjax.models.nnx_networks import from_nnx

        return from_nnx(given)
    return None


def _of_equinox(given: Any) -> Network | None:
    """Of a module, of (module, state), or of a function."""
    _, module = _module_classes()
    given = given if isinstance(given, tuple) else (given,)
    first = given[0] if given else None
    if module and (isinstance(first, module) or _makes(first, module, "key")):
        from kdjax.models.equinox_networks import from_equinox

        return from_equinox(*given)
    return None


def _module_classes() -> tuple:
    """The classes of NNX's and Equinox's modules; None of what nobody has imported."""
    names = ("flax.nnx", "equinox")
    return tuple(getattr(sys.modules.get(name), "Module", None) for name in names)


def _makes(given: Any, module: type, argument: str) -> bool:
    """Whether it is a class of such modules, or a function of that argument."""
    while isinstance(given, functools.partial):  # of a class it shows no arguments
        given = given.func
    if isinstance(given, type):
        return issubclass(given, module)
    if not callable(given):
        return False
    return argument in inspect.signature(given).parameters


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
