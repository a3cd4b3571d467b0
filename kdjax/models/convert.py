"""Whatever a user has as a network, as a `Network`."""

import functools
import inspect
import sys
from typing import Any

import jax
import jax.numpy as jnp

from kdjax.contracts import InputError
from kdjax.models.fingerprint import (
    attributes,
    describe,
    digest,
    is_told,
    without_addresses,
)
from kdjax.models.network import Linen, Network, from_linen

EXPECTED = (
    "a name of kdjax.models.MODELS, a module of flax.linen, flax.nnx or equinox, a "
    "function of rngs (NNX) or key (Equinox) that makes one, or a Network"
)
# Where what makes a Network of a module is defined -> the module's library.
LIBRARIES = {"kdjax.models.nnx_networks": "nnx"}
LIBRARIES |= {"kdjax.models.equinox_networks": "equinox"}


def as_network(what: str, given: Any) -> tuple[str, Network]:
    """(a name, the network) of a module, of a function that makes one, or of itself.

    The name says what it is in a config: a module of other sizes has another one.
    `what` opens the InputError for anything else.
    """
    if isinstance(given, Network):
        return _name_of(given), given
    if hasattr(given, "lazy_init") and not isinstance(given, type):  # Linen's alone
        network = from_linen(given)
        return _name_of(network), network
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
    return _name_by_shapes(library, network), network


def has_weights(given: Any) -> bool:
    """Whether it is a module of NNX or Equinox, which has its arrays with it.

    Or (module, state) of Equinox, or a network of either; (module, params,
    batch_stats) has others.
    """
    if isinstance(given, Network):
        given = _owner(given)
        is_ours = type(given).__module__ in LIBRARIES
        given = given.source if is_ours else None
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
    first = given[0] if 1 <= len(given) <= 2 else None
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
    try:
        return argument in inspect.signature(given).parameters
    except ValueError:  # of functions that are not written in Python
        return False


def _name_of(network: Network) -> str:
    """Of its module where `from_linen` and the like made it, else of its functions."""
    owner = _owner(network)
    if isinstance(owner, Linen):
        module = owner.module
        is_whole = is_told(list(attributes(module).values()))
        text = without_addresses(module) if is_whole else describe(module)
        text += _text_of(owner.paths)
        return f"{type(owner.module).__name__}-{digest(text)}"
    if library := LIBRARIES.get(type(owner).__module__):
        name = _name_by_shapes(library, network)
        taps = _text_of(getattr(owner, "taps", {}))
        taps += "" if getattr(owner, "channels_first", True) else "channels last"
        return f"{name}-{digest(taps)}" if taps else name
    name = getattr(network.train, "__name__", "network").strip("<>")
    return f"{name}-{digest(describe(tuple(network)))}"


def _text_of(features: dict[str, str]) -> str:
    return repr(sorted(features.items())) if features else ""


def _owner(network: Network) -> Any:
    """What all functions of a network are methods of; None where they are not."""
    owners = [getattr(function, "__self__", None) for function in network[:3]]
    return owners[0] if all(one is owners[0] for one in owners) else None


def _name_by_shapes(library: str, network: Network) -> str:
    """Of its class, and of its arrays' names and shapes.

    Whoever loads the run may give the class, and have trained a function of it.
    """
    images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    where = network.init.__self__.parts.where  # names the class
    return f"{library}-{digest(f'{where}{shapes}')}"
