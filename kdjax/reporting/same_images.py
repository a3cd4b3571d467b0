"""Whether trainings read the same images: by their content, where it was recorded."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kdjax.reporting.runs import Run

T = TypeVar("T")
NAMES = ("name", "version", "split")  # the same images may have others
_VERSIONED = re.compile(r"(.+):(\d+\.\d+\.\d+)")


def images_of(run: Run, part: str) -> dict[str, Any]:
    """What a run recorded of its "train" or "test" images; a name while it goes on.

    Of training images the content alone: their noise is a setting, and which of them
    are kept is a method's affair.
    """
    identity = (run.identity.get("data") or {}).get(part) or {}
    if part == "train":
        identity = {k: v for k, v in identity.items() if k in (*NAMES, "sha256")}
    own = run.config.get("data", {})
    named = {"name": own.get("name"), "split": own.get(part)}
    if versioned := _VERSIONED.fullmatch(str(named["name"])):
        named |= dict(zip(NAMES, versioned.groups(), strict=False))
    return identity | {key: value for key, value in named.items() if value}


def content(run: Run) -> tuple[str, ...]:
    """The digests of both parts, () where they are not recorded."""
    digests = (images_of(run, part).get("sha256") for part in ("train", "test"))
    return tuple(filter(None, digests))


def apart_by_images(items: list[T], run_of: Callable[[T], Run]) -> list[list[T]]:
    """The items grouped by the images of their runs, all of one name.

    A run that goes on has recorded none yet: it is with the others, if they have one.
    """
    contents = [content(run_of(item)) for item in items]
    distinct = set(filter(None, contents))
    default = distinct.pop() if len(distinct) == 1 else ()
    by_content: dict[tuple[str, ...], list[T]] = {}
    for item, own in zip(items, contents, strict=True):
        by_content.setdefault(own or default, []).append(item)
    return list(by_content.values())


def same_images(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two recorded identities are of the same images.

    By content and crops where both have a digest, whatever their names are; else by
    name, version and split, those that both say.
    """
    if one.get("sha256") and other.get("sha256"):
        return _without_names(one) == _without_names(other)
    pairs = [(one.get(key), other.get(key)) for key in NAMES]
    return all(own == others for own, others in pairs if own and others)


def _without_names(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key not in NAMES}
