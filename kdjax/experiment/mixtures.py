"""Mixtures of two images, by mixup or CutMix: what a config may not set beside them."""

from collections.abc import Mapping

from kdjax.contracts import InputError
from kdjax.data.transforms.augment import Augment
from kdjax.methods.base import Method
from kdjax.training.state import SelectionSchedule

MIXTURES = ("mixup", "cutmix")  # of config.data


def check_mixable(
    path: str,
    name: str,
    method: Method,
    augment: Augment,
    schedule: SelectionSchedule | None,
) -> None:
    """Refuses a method that needs what a mixture of two samples does not have."""
    reason, other = method.why_not_mixed, "another method"
    if schedule is not None and method.mixture is None:
        reason, other = "its selection is of single samples", "all samples"
    if reason:
        key = "mixup" if augment.mixup else "cutmix"
        raise InputError(
            f"config.data.{key} is above 0, and {path}.method: {name} cannot train on "
            f"mixtures of two images: {reason}; expected 0, or {other}."
        )


def refuse_mixed(data: Mapping) -> None:
    """Raises InputError if the images that a cache is for are mixtures.

    `data` has MIXTURES among its keys, as the section of a config.
    """
    for name in MIXTURES:
        if data[name]:
            raise InputError(
                f"config.data.{name} is {data[name]:g}, and a cache has a teacher's "
                "outputs for single images, not for mixtures; expected 0 with a cache, "
                "or no cache."
            )
