"""Networks from a config: by name, or by "package.module:function"."""

from typing import Any

import jax
import jax.numpy as jnp

from kdjax.contracts import InputError
from kdjax.experiment.builders import check_code, guarded
from kdjax.experiment.fields import check_value
from kdjax.models import create
from kdjax.models.network import Network, call_evaluate, call_init
from kdjax.types import Outputs

CHECKPOINTS = "checkpoints"


def build_network(path: str, section: dict, classes: int) -> Network:
    """Builds the network of a `model` section for so many classes.

    One of the user's own only where the user names it, as `builders.check_code` has it.
    """
    check_value(f"{path}.name", str, section.get("name"))
    check_code(f"{path}.name", section["name"])
    if "num_classes" in section:
        raise InputError(
            f"{path}.num_classes is {section['num_classes']!r}; the data set says how "
            "many classes there are. Leave it out."
        )
    for key, value in section.items():  # builders check the rest
        check_value(f"{path}.{key}", Any, value)
    return guarded(path, create, num_classes=classes, **section)


def outputs_of(
    path: str, network: Network, image_shape, variables=None, count: int = 2
) -> Outputs:
    """The shapes of what a network gives on so many images; computes nothing.

    Its `variables` may be shapes themselves, as of a teacher that is not trained.
    """
    images = jax.ShapeDtypeStruct((count, *image_shape), jnp.float32)

    def forward(images, own):
        own = call_init(network, jax.random.key(0), images) if own is None else own
        return call_evaluate(network, *own, images)

    size = "x".join(map(str, image_shape))
    where = f"{path}: it cannot take the data set's images of {size}"
    return guarded(where, jax.eval_shape, forward, images, variables)


def count_classes(path: str, network: Network, image_shape) -> int:
    """How many classes a network has on such images; computes nothing."""
    return outputs_of(path, network, image_shape).logits.shape[-1]


def check_features(path: str, method: str, names: tuple, outputs: Outputs) -> None:
    """Raises InputError where a network has no feature that a method reads."""
    missing = [name for name in names if name not in outputs.features]
    if missing:
        raise InputError(
            f"{path}: the method {method} reads the feature {missing[0]!r}, and the "
            f"network has {', '.join(outputs.features) or 'none'}. Name it: "
            f"from_linen(module, features={{{missing[0]!r}: PATH}}), or give the "
            "method other names."
        )


def check_sides(path: str, network: Network, variables, channels: int, sides) -> None:
    """Refuses square crops that do not fit the weights, or the shapes of them."""
    for side in sides:
        images = jax.ShapeDtypeStruct((2, side, side, channels), jnp.float32)
        try:
            jax.eval_shape(network.evaluate, *variables, images)
        except Exception as error:  # a network of the user's raises what it likes
            raise InputError(
                f"{path}: the network cannot take crops of {side}x{side}, which "
                f"config.data.crops.sizes names, with weights for another size: {error}"
            ) from error


def check_weights(path: str, network: Network, variables, image_shape) -> None:
    """Refuses weights that are not those of the network; computes nothing."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    try:
        jax.eval_shape(network.evaluate, *variables, images)
    except Exception as error:  # Flax's own, or what a network of the user's raises
        raise InputError(
            f"{path}: its weights are not those of the network that it names: "
            f"{str(error).splitlines()[0][:200]}"
        ) from error


def check_classes(path: str, outputs: int, classes: int) -> None:
    """Student, teacher and labels must have the same classes."""
    if outputs != classes:
        raise InputError(
            f"{path}: the network has {outputs} classes and the data set has "
            f"{classes}; expected the same number."
        )


def choose_step(path: str, wanted: str, latest: int, best: int | None) -> int:
    """The step that "latest", "best" or a number stands for."""
    if wanted == "latest":
        return latest
    if wanted == "best" and best is None:
        raise InputError(f"{path} is best, but no step was evaluated yet; use latest.")
    if wanted == "best":
        return best
    if str(wanted).isdigit():
        return int(wanted)
    raise InputError(f"{path} is {wanted!r}; expected latest, best or a step.")
