"""What goes together with mixtures of images, and what does not."""

from kdjax.contracts import InputError
from kdjax.methods import Method

KEY = "config.data.mixup"


def check_mixable(path: str, name: str, method: Method) -> None:
    """Refuses a method that needs what a mixture of two samples does not have.

    Args:
      path: of the student in the config, for errors.
      name: of the method.
      method: as it will train, with what a selection adds to it.

    Raises:
      InputError: it reads labels, remembers samples or makes mixtures of its own.
    """
    refused = f"{KEY} is above 0, and {path}.method: {name}"
    if method.mixture is not None:
        raise InputError(
            f"{refused} mixes images by itself; expected {KEY} = 0 with it."
        )
    if "label" in method.reads:
        raise InputError(
            f"{refused} reads labels, and a mixture of two images has none of its own; "
            "expected a method that has the teacher alone, such as kd with alpha = 1 "
            "on all samples."
        )
    if method.reads:
        raise InputError(
            f"{refused} remembers each sample, and a mixture is of two; expected it "
            "without its memory."
        )


def refuse_mixed(mixup: float) -> None:
    """Raises InputError if the images that a cache is for are mixtures."""
    if mixup:
        raise InputError(
            f"{KEY} is {mixup:g}, and a cache has a teacher's outputs for single "
            "images, not for mixtures; expected 0 with a cache, or no cache."
        )
