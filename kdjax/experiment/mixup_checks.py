"""What goes together with mixtures of images, and what does not."""

import jax
import jax.numpy as jnp

from kdjax.contracts import InputError
from kdjax.methods import Method
from kdjax.models.network import Network
from kdjax.training.reads import reads

KEY = "config.data.mixup"


def check_mixable(
    path: str, name: str, method: Method, network: Network, teacher, image_shape
) -> None:
    """Refuses a method that asks for what a mixture of two samples does not have.

    Args:
      path: of the student in the config, for errors.
      name: of the method.
      method: as it will train, with what a selection adds to it.
      network: of the student.
      teacher: with a `network`, or None.
      image_shape: of one image.

    Raises:
      InputError: it reads labels, remembers samples or makes mixtures of its own.
    """
    refused = f"{KEY} is above 0, and {path}.method: {name}"
    if method.mixture is not None:
        raise InputError(
            f"{refused} mixes images by itself; expected {KEY} = 0 with it."
        )
    teacher_outputs = _answers(teacher.network, image_shape) if teacher else None
    looked_at = reads(method, _answers(network, image_shape), teacher_outputs)
    if "label" in looked_at:
        raise InputError(
            f"{refused} reads labels, and a mixture of two images has none of its own; "
            "expected a method that has the teacher alone, such as kd with alpha = 1 "
            "on all samples."
        )
    if looked_at:
        raise InputError(
            f"{refused} remembers each sample, and a mixture is of two; expected it "
            "without its memory."
        )


def refuse_mixed(mixup: float) -> None:
    """Raises InputError if the images that a teacher is asked about are mixtures."""
    if mixup:
        raise InputError(
            f"{KEY} is {mixup:g}, and a cache has a teacher's answers to "
            "single images, not to mixtures; expected 0 with a cache, or no cache."
        )


def _answers(network: Network, image_shape):
    """Shapes of what a network says to two images."""
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)

    def answer(images):
        return network.evaluate(*network.init(jax.random.key(0), images), images)

    return jax.eval_shape(answer, images)
