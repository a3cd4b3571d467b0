"""Architectures by name. `create("wrn_16_2", num_classes=100)` gives a `Network`.

A name of the form "package.module:function" calls a function of yours with the same
keywords, so a network of your own needs no change here. Of every network here `dtype`
is of the activations; parameters, statistics and logits are float32.
"""

import contextlib
import contextvars
import inspect
from collections.abc import Callable, Iterator

from kdjax.lazy_import import LazyTable, imported, lazy_package

__all__, __getattr__, __dir__ = lazy_package(
    __name__,
    network="Network from_linen",
    nnx_networks="from_nnx",
    equinox_networks="from_equinox",
)
__all__ += ["MODELS", "create", "provided"]
PROVIDED = "provided:"  # before the name of a network that is an object of the caller's
WEIGHTS = "-weights-"  # in the name of a module, before a digest of its weights
_provided = contextvars.ContextVar("provided")  # name -> Network


@contextlib.contextmanager
def provided(networks: dict) -> Iterator[None]:
    """While active, `create("provided:NAME", ...)` gives `networks["NAME"]`.

    Configs and checkpoints hold names; this is how they name an object in memory.

    >>> from kdjax.models import create
    >>> with provided({"mine": create("resnet8", num_classes=3)}):
    ...     network = create("provided:mine", num_classes=3)
    """
    token = _provided.set(_provided.get({}) | networks)
    try:
        yield
    finally:
        _provided.reset(token)


def _fixed(target: str, **fixed) -> Callable:
    """A builder of one architecture; the caller gives classes and dtype."""

    def build(*, num_classes: int, dtype: str = "float32"):
        builder = imported("create", f"kdjax.models.{target}")
        return builder(num_classes=num_classes, dtype=dtype, **fixed)

    return build


_wide, _cifar = "wide_resnet:wide_resnet", "residual:cifar_resnet"
_imagenet, _mobile = "imagenet_resnet:imagenet_resnet", "mobilenet_v1:mobilenet_v1"
_WRN_WIDTHS = {16: (1, 2, 4, 6), 28: (2, 4), 40: (1, 2, 6)}
_WRN_SIZES = tuple((d, w) for d, widths in _WRN_WIDTHS.items() for w in widths)
_CIFAR_DEPTHS, _IMAGENET_DEPTHS = (8, 14, 20, 32, 44, 56, 110), (18, 34, 50, 101, 152)
_VARIANTS = {  # of the ResNets of ImageNet, as torchvision and timm call them
    "resnext50_32x4d": {"depth": 50, "groups": 32, "base_width": 4},
    "resnext101_32x8d": {"depth": 101, "groups": 32, "base_width": 8},
    "wide_resnet50_2": {"depth": 50, "base_width": 128},
    "wide_resnet101_2": {"depth": 101, "base_width": 128},
    **{f"resnet{d}d": {"depth": d, "tricks": True} for d in (18, 34, 50, 101)},
}
MODELS = LazyTable(
    {
        "wide_resnet": "kdjax.models.wide_resnet:wide_resnet",
        **{f"wrn_{d}_{w}": _fixed(_wide, depth=d, width=w) for d, w in _WRN_SIZES},
        **{f"resnet{d}": _fixed(_cifar, depth=d) for d in _CIFAR_DEPTHS},
        "resnet8x4": _fixed(_cifar, depth=8, four_times=True),
        "resnet32x4": _fixed(_cifar, depth=32, four_times=True),
        **{f"resnet{d}": _fixed(_imagenet, depth=d) for d in _IMAGENET_DEPTHS},
        "resnet18_cifar": _fixed(_imagenet, depth=18, small_images=True),
        "resnet34_cifar": _fixed(_imagenet, depth=34, small_images=True),
        "resnet50_cifar": _fixed(_imagenet, depth=50, small_images=True),
        **{n: _fixed(_imagenet, name=n, **how) for n, how in _VARIANTS.items()},
        "mobilenet_v1": _fixed(_mobile, activation="relu"),
        "mobilenet_v1_relu6": _fixed(_mobile, activation="relu6"),
        "mobilenet_v2": _fixed("mobilenet_v2:mobilenet_v2"),
        "mobilenet_v2_half": _fixed("mobilenet_v2:mobilenet_v2_half"),
        "shufflenet_v1": _fixed("shufflenet_v1:shufflenet_v1"),
        "shufflenet_v2": _fixed("shufflenet_v2:shufflenet_v2"),
        **{f"vgg{d}": _fixed("vgg:vgg", depth=d) for d in (8, 11, 13, 16, 19)},
    }
)


def create(name: str, *, num_classes: int, **rest):
    """Builds the `Network` called `name`.

    Args:
      name: a key of `MODELS`, or "package.module:function", a function that returns a
        `Network`; it is given `num_classes` if its signature takes it.
      **rest: the builder's other keywords, such as dtype="bfloat16".

    Raises:
      ValueError: unknown name or function, unknown or missing keyword.
      TypeError: the function returned something else than a `Network`.

    >>> import jax, jax.numpy as jnp
    >>> network = create("resnet8", num_classes=10)
    >>> images = jnp.ones((2, 32, 32, 3))
    >>> params, batch_stats = jax.jit(network.init)(jax.random.key(0), images)
    >>> network.evaluate(params, batch_stats, images).logits.shape
    (2, 10)
    """
    from kdjax.models.network import Network  # brings Flax

    if name.startswith(PROVIDED):
        return _of_the_caller(name, rest)
    if ":" not in name and name not in MODELS:
        from kdjax.models.families import suggestion

        raise ValueError(
            f"create: there is no model {name!r}; {suggestion(name, MODELS)} "
            '"package.module:function" takes one of yours.'
        )
    builder = imported("create", name) if ":" in name else MODELS[name]
    if _takes(builder, "num_classes"):
        rest["num_classes"] = num_classes
    _check_keywords(name, builder, rest)
    network = builder(**rest)
    if not isinstance(network, Network):
        raise TypeError(
            f"create: {name} returned {type(network).__name__}; expected a Network. "
            "Wrap a Linen module: kdjax.models.from_linen(module)."
        )
    return network


def _of_the_caller(name: str, rest: dict):
    networks = _provided.get({})
    key = name.removeprefix(PROVIDED)
    by_structure = {own.partition(WEIGHTS)[0]: one for own, one in networks.items()}
    network = networks.get(key, by_structure.get(key.partition(WEIGHTS)[0]))
    if network is None:
        raise ValueError(
            f"create: {name!r} stands for a network that was an object in memory; "
            "expected it again, of the same sizes: kdjax.load(workdir, network=...). "
            "Commands read only runs whose network was given by a name."
            + (f" Given is {', '.join(networks)}." if networks else "")
        )
    if rest:
        raise ValueError(
            f"create: {', '.join(rest)} cannot change {name!r}, which is made already."
        )
    return network


def _takes(builder: Callable, keyword: str) -> bool:
    parameters = inspect.signature(builder).parameters.values()
    return any(p.name == keyword or p.kind is p.VAR_KEYWORD for p in parameters)


def _check_keywords(name: str, builder: Callable, arguments: dict) -> None:
    """Raises ValueError unless `builder(**arguments)` is a well-formed call."""
    signature = inspect.signature(builder)
    others = [keyword for keyword in signature.parameters if keyword != "num_classes"]
    takes = f"it takes {', '.join(others) or 'nothing else'}."
    for keyword in arguments:
        if not _takes(builder, keyword):
            raise ValueError(f"create: {keyword} is not a parameter of {name}; {takes}")
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ValueError(f"create: {name}: {error}; {takes}") from error
