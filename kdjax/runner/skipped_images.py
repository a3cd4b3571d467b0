"""What all processes could not read of a streamed set, told by the first."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterator

from kdjax.data.load import Split
from kdjax.data.loaders.loader import is_streamed
from kdjax.distributed import collectives
from kdjax.reporting.files import replace

FILE = "unreadable.json"  # in a run's directory: what its pieces have found


@contextlib.contextmanager
def told(
    split: Split, workdir: pathlib.Path, start: int, say: Callable[[str], None]
) -> Iterator[dict[str, str] | None]:
    """Tells of it when a training ends, also where all processes stop on the way.

    Args:
      split: of the training.
      workdir: keeps what earlier pieces of the run have told.
      start: step at which this one begins; at 0 there was none.
      say: takes a line for the user.

    Yields:
      Where it lies -> what is wrong, complete at the end; None of a set in memory.
    """
    unread = {} if is_streamed(split) else None
    try:
        yield unread
    except (
        collectives.COMMON
    ):  # else some processes would wait for others that are gone
        _tell(split, workdir / FILE, start, say, unread)
        raise
    _tell(split, workdir / FILE, start, say, unread)


def as_json(unread: dict[str, str] | None) -> dict:
    """For the summary. What a piece had found that was killed may be missing."""
    if unread is None:
        return {}
    return {"unreadable_images": {"count": len(unread), "first": _first(unread)}}


def _tell(split: Split, path: pathlib.Path, start: int, say, unread) -> None:
    """All processes come here: each has seen the pictures that it decoded."""
    if unread is None:
        return
    each = collectives.all_gather(split.image.skipped.errors)
    now = {name: why for one in each for name, why in one.items()}
    unread |= collectives.broadcast(lambda: _kept(path, start, now))
    if unread:
        for line in _first(unread):
            say(line)
        say(f"data: {len(unread):,} unreadable images, replaced by the next")


def _kept(path: pathlib.Path, start: int, now: dict[str, str]) -> dict[str, str]:
    """With what earlier pieces have found."""
    before = json.loads(path.read_text()) if start and path.exists() else {}
    if before | now or path.exists():
        replace(path, json.dumps(before | now, indent=2) + "\n")
    return before | now


def _first(unread: dict[str, str]) -> list[str]:
    return [f"{name}: cannot be read ({why})" for name, why in list(unread.items())[:3]]
