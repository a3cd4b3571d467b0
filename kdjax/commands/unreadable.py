"""What all processes could not read of a streamed set, told by the first."""

from kdjax.commands import together
from kdjax.data.feeds import is_stored
from kdjax.data.sources import Split


def found(split: Split) -> dict[str, str] | None:
    """Where it lies -> what is wrong, since this start; None of a set in memory.

    All processes call it: each has seen the pictures that it decoded.
    """
    if not is_stored(split):
        return None
    each = together.gather(split.image.skipped.found)
    return {name: why for one in each for name, why in one.items()}


def told(unread: dict[str, str] | None) -> list[str]:
    """As lines for the user; none if all could be read."""
    if not unread:
        return []
    return [
        *_first(unread),
        f"data: {len(unread):,} unreadable images, replaced by the next",
    ]


def as_json(unread: dict[str, str] | None) -> dict:
    """For the summary. A run that was resumed meets them again."""
    if unread is None:
        return {}
    return {"unreadable_images": {"count": len(unread), "first": _first(unread)}}


def _first(unread: dict[str, str]) -> list[str]:
    return [f"{name}: cannot be read ({why})" for name, why in list(unread.items())[:3]]
